"""What is said of a draft: what was guessed, what could not be told, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inithold.compose.new.model import Draft

_EXTRAS = {
    "alembic.upgrade": "alembic",
    "rabbitmq.ready": "rabbitmq",
    "rabbitmq.topology": "rabbitmq",
    "redis.ready": "redis",
}


def tell(draft: Draft, target: str, given: Sequence[str]) -> str:
    """The lines for standard error.

    Args:
        draft: the draft.
        target: the file it was written to, `-` for standard output.
        given: the files that `-f` named.
    """
    notes = draft.notes
    name = "the draft" if target == "-" else target
    lines = [f"{name}: {len(draft.steps)} {'step' if len(draft.steps) == 1 else 'steps'}"]
    for title, said in (
        ("taken", notes.chosen),
        ("guessed", notes.guessed),
        ("could not tell", notes.unknown),
        (f"give to {draft.service}", notes.needed),
    ):
        if said:
            lines += ["", f"{title}:", *(f"  {' '.join(each.split())}" for each in dict.fromkeys(said))]
    plan = "inithold.yaml" if target == "-" else target
    return "\n".join([*lines, "", "next:", *(f"  {line}" for line in _next(draft, plan, given))])


def _next(draft: Draft, plan: str, given: Sequence[str]) -> Iterator[str]:
    service = draft.service
    argument = "" if plan == "inithold.yaml" else f" {plan}"
    extras = ",".join(sorted(set(_extras(draft))))
    package = f"'inithold[{extras}]'" if extras else "inithold"
    files = "".join(f" -f {file}" for file in given)
    yield f"read {plan}: is each guess right? fill in what is marked TODO"
    yield f"put inithold and the plan into the image of {service}: pip install {package}"
    alone = " and no entrypoint" if draft.entrypoint else ""
    yield f"give {service} the command: inithold run{argument}{alone}"
    # Whatever the service's own entrypoint is: it might be the old script.
    run = f"docker compose{files} run --rm --entrypoint inithold"
    yield f"{run} {service} plan{argument}   # what a run would change"
    yield f"inithold compose fix{files}   # the healthcheck of {service}, and who waits for it"
    yield f"or without a plan: inithold compose fix{files} --wrap inithold   # the command as it is, then a hold"


def _extras(draft: Draft) -> Iterator[str]:
    for step in draft.steps:
        if step.uses in _EXTRAS:
            yield _EXTRAS[step.uses]
        if step.uses == "database.ready":
            why = " ".join(step.why)
            url = str(step.fields.get("url", ""))
            if "sqlite" not in why:
                yield "mysql" if url.startswith("mysql") or "mysql" in why or "mariadb" in why else "postgres"
