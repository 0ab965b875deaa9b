"""Whole manifests against JSON files one can read, each accepted by the strict schema of Kubernetes 1.34."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest

from oc.od.orchestrator.manifests.applications import ephemeral_patch

from . import cases, more_cases
from .conftest import EXPECTED

Check = Callable[[str, Any], None]
DESKTOPS = {**cases.DESKTOPS, **more_cases.DESKTOPS}
PODS = {**DESKTOPS, **cases.APPLICATION_PODS, **more_cases.APPLICATION_PODS}
EPHEMERALS = {**cases.EPHEMERALS, **more_cases.EPHEMERALS}
OTHERS = {**cases.OTHERS, **more_cases.OTHERS}
ALL = {**PODS, **EPHEMERALS}


def accepted(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, "1.34", strict=True)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_built_object_is_the_expected_one(name: str, matches_expected: Check) -> None:
    built = ALL[name]()
    matches_expected(name, {"warnings": list(built.warnings), "manifest": built.manifest})


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_claim_or_secret_is_the_expected_one(name: str, matches_expected: Check) -> None:
    matches_expected(name, OTHERS[name]())


@pytest.mark.parametrize("name", sorted(PODS))
def test_a_built_pod_is_accepted_by_the_schema(name: str) -> None:
    accepted(PODS[name]().manifest)


@pytest.mark.parametrize("name", sorted(EPHEMERALS))
def test_an_ephemeral_container_is_accepted_in_a_desktop_pod(name: str) -> None:
    pod = DESKTOPS["desktop-fry-policies"]().manifest
    pod["spec"].update(ephemeral_patch(EPHEMERALS[name]().manifest)["spec"])
    accepted(pod)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_claims_and_secrets_are_accepted_by_the_schema(name: str) -> None:
    made = OTHERS[name]()
    objects = made if isinstance(made, list) else [made] if "kind" in made else list(made.values())
    for manifest in objects:
        accepted(manifest)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_same_input_gives_the_same_object(name: str) -> None:
    assert ALL[name]() == ALL[name]()


def test_every_expected_file_belongs_to_a_case() -> None:
    assert {path.stem for path in EXPECTED.glob("*.json")} == {*ALL, *OTHERS}


def test_the_schema_check_of_these_tests_refuses_an_unknown_field() -> None:
    pod = copy.deepcopy(DESKTOPS["desktop-anonymous-4.4"]().manifest)
    pod["spec"]["containers"][0]["tcpport"] = 6081
    with pytest.raises(kubernetes_validate.ValidationError):
        accepted(pod)
