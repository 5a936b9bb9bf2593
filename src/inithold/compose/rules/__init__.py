"""The rules, in the order of the manual. A rule is a module: its docstring is its page, `check` finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from inithold.compose.rules import (
    blind_healthcheck,
    busy_probe,
    completed_dependent,
    cyclic_dependency,
    deaf_init,
    dependent_skips_init,
    endless_sleep_overflow,
    engine_too_old,
    fast_marker_probe,
    healthy_without_healthcheck,
    impatient_init,
    inactive_dependency,
    init_not_awaited,
    init_restart_policy,
    marker_outlives_container,
    one_shot_init,
    post_start_init,
    pre_start_not_again,
    pre_start_per_replica,
    provider_too_early,
    replicated_init,
    restart_with_init,
    scaled_pre_start,
    shared_pre_start,
    short_start_period,
    slow_start_probe,
    swarm_ignores_depends_on,
    unadopted_one_shot,
    unknown_dependency,
    unshelled_command,
    weakened_override,
)

if TYPE_CHECKING:
    from inithold.compose.finding import Finding
    from inithold.compose.stack.roles import Stack


class Rule(Protocol):
    """What a rule's module offers."""

    __doc__: str | None
    ID: str

    def check(self, stack: Stack) -> Iterator[Finding]:
        """Yield the rule's findings."""


RULES: tuple[Rule, ...] = (
    one_shot_init,
    unadopted_one_shot,
    completed_dependent,
    init_not_awaited,
    healthy_without_healthcheck,
    blind_healthcheck,
    marker_outlives_container,
    fast_marker_probe,
    short_start_period,
    slow_start_probe,
    busy_probe,
    init_restart_policy,
    restart_with_init,
    weakened_override,
    dependent_skips_init,
    impatient_init,
    deaf_init,
    endless_sleep_overflow,
    unshelled_command,
    replicated_init,
    unknown_dependency,
    cyclic_dependency,
    inactive_dependency,
    shared_pre_start,
    scaled_pre_start,
    pre_start_per_replica,
    pre_start_not_again,
    post_start_init,
    provider_too_early,
    engine_too_old,
    swarm_ignores_depends_on,
)
