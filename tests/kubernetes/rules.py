"""All rules of ours on the manifests; each yields what is wrong, in a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kubernetes import applying, hardening, network, references, secrecy, wiring
from kubernetes.manifests import Manifests

Rule = Callable[[Manifests], Iterator[str]]

RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        hardening.pods_are_locked_down,
        hardening.containers_are_locked_down,
        hardening.containers_say_what_they_take,
        hardening.temporary_files_are_in_memory,
        hardening.images_have_a_tag,
        secrecy.no_secret_in_a_manifest,
        secrecy.secrets_are_there_and_readable,
        secrecy.the_plan_finds_its_secrets,
        wiring.init_is_one,
        wiring.the_plan_is_mounted,
        wiring.probes_look_at_the_marker,
        wiring.probes_are_patient,
        wiring.the_job_leaves_retries_to_init,
        wiring.dependents_are_gated,
        wiring.containers_tell_why_they_ended,
        wiring.what_only_waits_can_be_drained,
        wiring.replicas_are_apart,
        wiring.workloads_say_their_version,
        applying.applying_again_changes_nothing,
        references.selectors_match_labels,
        references.names_lead_somewhere,
        references.ports_are_there,
        network.nothing_is_open_by_default,
        network.what_is_needed_is_open,
        network.what_is_open_is_used,
    )
}
