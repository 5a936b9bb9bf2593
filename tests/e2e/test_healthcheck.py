"""How soon dependents start once init is ready: the recommended health checks beside the usual `interval: 10s`.

`python -m benchmarks.healthcheck` compares many more, and what each costs.
"""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import yaml

from e2e.conftest import Maker
from e2e.engine import Engine, busy
from e2e.images import EXAMPLE, Images
from e2e.moments import moment
from e2e.stack import MARKER, Stack
from inithold.compose.stack.duration import seconds as seconds_of

ROUNDS = 5
# A start_interval that is not given is the image's own, or 5 s: engines before 25 know the interval alone.
USUAL = {"test": ["CMD", "test", "-f", MARKER], "interval": "10s", "start_interval": "10s", "start_period": "15m"}
OLDER_ENGINES = {
    "test": ["CMD", "inithold", "health", "--wait=25s"],
    "interval": "5s",
    "start_interval": "5s",
    "start_period": "15m",
    "timeout": "30s",
}


def of_the_example() -> dict[str, Any]:
    """The health check of the example's init."""
    return dict(yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]["init"]["healthcheck"])


def write(stack: Stack, checks: dict[str, dict[str, Any]], seconds: list[float]) -> None:
    """An init for each health check, ready after some seconds of its own, and a dependent for each."""
    services: dict[str, Any] = {}
    for each, (name, check) in zip(seconds, checks.items(), strict=True):
        services[f"init-{name}"] = {
            "image": stack.images.inithold,
            "pull_policy": "never",
            "container_name": f"{stack.project}-init-{name}",
            "network_mode": "none",
            "command": ["run", "--", "sleep", f"{each:.2f}"],
            "tmpfs": ["/tmp"],
            "healthcheck": check,
        }
        services[f"dependent-{name}"] = {
            "image": stack.images.inithold,
            "pull_policy": "never",
            "container_name": f"{stack.project}-dependent-{name}",
            "network_mode": "none",
            "entrypoint": ["catatonit", "-P"],
            "healthcheck": {"disable": True},
            "depends_on": {f"init-{name}": {"condition": "service_healthy"}},
        }
    stack.write("compose.checks.yaml", yaml.safe_dump({"services": services}))


def delays(stack: Stack, check: dict[str, Any], first: float, step: float) -> list[float]:
    """Seconds from marker to running dependent, of inits that take `first` seconds, `step` more, and so on."""
    checks = {f"{number}": check for number in range(ROUNDS)}
    write(stack, checks, [first + step * number for number in range(ROUNDS)])
    stack.compose("up", "-d")
    found = []
    for name in checks:
        ready = float(stack.exec(f"init-{name}", "stat", "-c", "%.9Y", MARKER).stdout)
        found.append(moment(stack.state(f"dependent-{name}")["StartedAt"]) - ready)
    return found


def quickest(make_stack: Maker, check: dict[str, Any]) -> list[float]:
    """The best of up to three tries, since the machine may be busy with other tests."""
    tries: list[list[float]] = []
    while not tries or (len(tries) < 3 and statistics.median(tries[-1]) > 1.2):
        stack = make_stack("compose.checks.yaml")
        tries.append(delays(stack, check, 5.3, 0.17))
        assert min(tries[-1]) > 0, "a dependent started before init was ready"
        stack.down()
    return min(tries, key=statistics.median)


@pytest.mark.timeout(500)
def test_dependents_start_soon_after_the_marker(make_stack: Maker) -> None:
    recommended = {
        "built into the image": {},
        "of the example": of_the_example(),
        "for older engines": OLDER_ENGINES,
    }
    # Evenly over its interval, so that the median says what it costs as a rule.
    usual = delays(make_stack("compose.checks.yaml"), USUAL, 1.1, 2.0)
    print(f"the usual interval of 10 s: median {statistics.median(usual):.2f} s, worst {max(usual):.2f} s")
    for name, check in recommended.items():
        found = quickest(make_stack, check)
        median = statistics.median(found)
        ratio = median / statistics.median(usual)
        print(f"{name}: median {median:.2f} s, worst {max(found):.2f} s; {ratio:.2f} of the usual")
        assert median <= 1.2 * busy(), name
        assert ratio < 0.5, name


def test_the_example_and_the_image_agree(engine: Engine, images: Images) -> None:
    example, image = of_the_example(), engine.get(f"/images/{images.inithold}/json")["Config"]["Healthcheck"]
    assert image["Test"] == example["test"]
    keys = {"Interval": "interval", "StartPeriod": "start_period", "StartInterval": "start_interval"}
    for name, key in {**keys, "Timeout": "timeout"}.items():
        assert image[name] == round(seconds_of(example[key]) * 10**9), key
