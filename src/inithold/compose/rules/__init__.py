"""The rules in the order of the manual: each is a function that yields findings, with a page in `pages/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.rules import commands, dependencies, hooks, inits, overrides, probes

if TYPE_CHECKING:
    from inithold.compose.finding import Finding
    from inithold.compose.stack.roles import Stack

_PAGES = Path(__file__).with_name("pages")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its function, and the manual page of the same name."""

    check: Callable[[Stack], Iterator[Finding]]

    @property
    def id(self) -> str:
        """Its name in findings and comments: `one-shot-init`."""
        return self.check.__name__.replace("_", "-")

    @property
    def page(self) -> str:
        """Its manual page, in Markdown; the first line is the title."""
        return (_PAGES / f"{self.id}.md").read_text(encoding="utf-8").rstrip()

    @property
    def title(self) -> str:
        """What it finds, in a line."""
        return self.page.partition("\n")[0]


RULES = tuple(
    Rule(check)
    for check in (
        inits.one_shot_init,
        inits.unadopted_one_shot,
        dependencies.completed_dependent,
        dependencies.init_not_awaited,
        probes.healthy_without_healthcheck,
        probes.blind_healthcheck,
        probes.marker_outlives_container,
        probes.fast_marker_probe,
        probes.short_start_period,
        probes.slow_start_probe,
        probes.busy_probe,
        inits.masked_failure,
        inits.init_restart_policy,
        dependencies.restart_with_init,
        overrides.weakened_override,
        dependencies.dependent_skips_init,
        dependencies.impatient_init,
        commands.deaf_init,
        commands.endless_sleep_overflow,
        commands.unshelled_command,
        inits.replicated_init,
        dependencies.unknown_dependency,
        dependencies.cyclic_dependency,
        dependencies.inactive_dependency,
        hooks.shared_pre_start,
        hooks.scaled_pre_start,
        hooks.pre_start_per_replica,
        hooks.pre_start_not_again,
        hooks.post_start_init,
        dependencies.provider_too_early,
        commands.engine_too_old,
        dependencies.swarm_ignores_depends_on,
    )
)
