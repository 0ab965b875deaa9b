"""Security contexts: numbers of the user, fields at their level, no way to become root by an account."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from oc.model.identity import PosixGroup
from oc.od.orchestrator.manifests import security
from oc.od.orchestrator.manifests.types import ManifestError

from .configurations import USER_CONTEXT
from .people import FRY_ACCOUNT

MIXED: dict[str, Any] = {
    "runAsUser": "{{ uidNumber }}",
    "runAsGroup": 7,
    "fsGroup": "{{ gidNumber }}",
    "supplementalGroups": ["{{ supplementalGroups }}", 5, "{{gidNumber}}", "{{ nothing }}", 5],
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
    "runAsNonRoot": None,
}


def test_templates_become_numbers_and_nulls_are_left_out() -> None:
    assert security.rendered(MIXED, FRY_ACCOUNT) == {
        "runAsUser": 2042,
        "runAsGroup": 7,
        "fsGroup": 12042,
        "supplementalGroups": [13000, 5, 12042],
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_rendering_changes_nothing_and_shares_nothing() -> None:
    before = copy.deepcopy(MIXED)
    security.rendered(MIXED, FRY_ACCOUNT)["capabilities"]["drop"].append("x")
    assert before == MIXED


def test_no_context_gives_an_empty_one() -> None:
    assert security.rendered(None, FRY_ACCOUNT) == {}


@pytest.mark.parametrize("form", ["{{ supplementalGroups }}", "{{supplementalGroups}}", "{{{ supplementalGroups }}}"])
def test_the_groups_of_the_user_replace_their_template(form: str) -> None:
    account = dataclasses.replace(FRY_ACCOUNT, groups=(PosixGroup("a", 3), PosixGroup("b", 4)))
    assert security.rendered({"supplementalGroups": [form]}, account)["supplementalGroups"] == [3, 4]
    alone = dataclasses.replace(FRY_ACCOUNT, groups=())
    assert security.rendered({"supplementalGroups": [form]}, alone)["supplementalGroups"] == []


def test_each_field_goes_where_kubernetes_knows_it() -> None:
    made = security.rendered(MIXED, FRY_ACCOUNT)
    assert set(security.pod_level(made)) == {
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "supplementalGroups",
        "seccompProfile",
    }
    assert set(security.container_level(made)) == {
        "runAsUser",
        "runAsGroup",
        "allowPrivilegeEscalation",
        "capabilities",
        "seccompProfile",
    }
    assert set(security.container_level(made, with_shared=False)) == {"allowPrivilegeEscalation", "capabilities"}
    assert set(security.pod_level(made, with_shared=False)) == {"fsGroup", "supplementalGroups"}


def test_the_groups_of_a_container_join_those_of_the_pod() -> None:
    assert security.with_groups({"supplementalGroups": [1, 2]}, {"supplementalGroups": [2, 3]}) == {
        "supplementalGroups": [1, 2, 3]
    }
    assert security.with_groups({}, {"supplementalGroups": [3]}) == {"supplementalGroups": [3]}
    assert security.with_groups({"runAsUser": 1}, {}) == {"runAsUser": 1}


@pytest.mark.parametrize("value", ["{{ nothing }}", "{{ uid }}", "-1", "1.5", "²", str(2**31), ""])
def test_an_id_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(ManifestError):
        security.rendered({"runAsUser": value}, FRY_ACCOUNT)


def test_an_account_with_the_number_of_root_gets_no_desktop() -> None:
    with pytest.raises(ManifestError, match="root"):
        security.rendered(USER_CONTEXT, dataclasses.replace(FRY_ACCOUNT, uidNumber=0))


def test_root_written_in_the_configuration_is_root() -> None:
    assert security.rendered({"runAsUser": 0}, FRY_ACCOUNT) == {"runAsUser": 0}


def test_an_application_overlays_the_context_key_by_key() -> None:
    made, warnings = security.for_application(USER_CONTEXT, {"runAsUser": 33, "runAsNonRoot": True}, FRY_ACCOUNT)
    assert made["runAsUser"] == 33
    assert made["runAsGroup"] == 12042
    assert made["runAsNonRoot"] is True
    assert warnings == []


@pytest.mark.parametrize("key", ["privileged", "procMount", "sysctls", "windowsOptions", "hostPID", "invented"])
def test_an_application_cannot_take_the_node(key: str) -> None:
    made, warnings = security.for_application(USER_CONTEXT, {key: True}, FRY_ACCOUNT)
    assert key not in made
    assert len(warnings) == 1


@pytest.mark.parametrize("context", [None, "runAsUser: 0", [], 7])
def test_a_context_of_an_application_that_is_no_dict_counts_as_none(context: Any) -> None:
    made, warnings = security.for_application(USER_CONTEXT, context, FRY_ACCOUNT)
    assert made["runAsUser"] == 2042
    assert warnings == []
