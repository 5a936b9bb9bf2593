"""Each rule finds what it is for: a copy of the manifests with one fault, and what the rule says of it."""

from __future__ import annotations

import pytest

from kubernetes import faults_of_pods, faults_of_wiring
from kubernetes.fault import Fault
from kubernetes.manifests import applied
from kubernetes.rules import RULES

FAULTS = [*faults_of_pods.FAULTS, *faults_of_wiring.FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.rule}-{fault.said[:30]}" for fault in FAULTS])
def test_a_fault_is_found(fault: Fault) -> None:
    manifests = applied(as_job=fault.as_job)
    fault.made(manifests)
    found = list(RULES[fault.rule](manifests))
    assert any(fault.said in line for line in found), found


def test_every_rule_has_a_fault_that_it_finds() -> None:
    assert {fault.rule for fault in FAULTS} == RULES.keys()
