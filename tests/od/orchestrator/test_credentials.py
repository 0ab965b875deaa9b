"""Credentials for the API: asked for rarely, exchanged in time, and at once when the API refuses them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kubernetes.client import Configuration

from oc.od.orchestrator import KubernetesClient, KubernetesError
from oc.od.orchestrator.credentials import KEPT_SECONDS, Credentials
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.resources import PODS

from .support import ClusterAdmin


@pytest.fixture
def rotating(configuration: Configuration) -> Configuration:
    """A configuration that gives another token each time it is asked."""
    asked = 0

    def refresh(found: Configuration) -> None:
        nonlocal asked
        asked += 1
        found.api_key["authorization"] = found.api_key["BearerToken"] = f"Bearer {asked}"

    configuration.refresh_api_key_hook = refresh
    configuration.api_key_prefix = {}
    return configuration


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def token(rotating: Configuration, now: list[float]) -> Callable[[], str]:
    subject = Credentials(rotating, lambda: now[0])
    return lambda: subject.headers()["authorization"]


def test_calls_in_a_row_ask_once(token: Callable[[], str], now: list[float]) -> None:
    assert [token(), token()] == ["Bearer 1", "Bearer 1"]
    now[0] += KEPT_SECONDS - 0.1
    assert token() == "Bearer 1"


def test_a_rotated_token_is_used_some_seconds_later(token: Callable[[], str], now: list[float]) -> None:
    assert token() == "Bearer 1"
    now[0] += KEPT_SECONDS
    assert [token(), token()] == ["Bearer 2", "Bearer 2"]


def test_a_refused_token_is_asked_for_again_at_once(rotating: Configuration, admin: ClusterAdmin) -> None:
    subject = KubernetesClient(rotating, "abcdesktop")
    assert subject.headers()["authorization"] == "Bearer 1"
    with pytest.raises(KubernetesError) as caught:
        subject.items(PODS, "type=none")
    assert caught.value.code == 401
    assert subject.headers()["authorization"] == "Bearer 2"


def test_a_token_refused_for_a_command_is_asked_for_again_at_once(rotating: Configuration, admin: ClusterAdmin) -> None:
    subject = KubernetesClient(rotating, "abcdesktop")
    assert subject.headers()["authorization"] == "Bearer 1"
    with pytest.raises(KubernetesError) as caught:
        run_in_container(subject, "a-pod", "x-graphical", ["/bin/true"], timeout=10)
    assert caught.value.code == 401
    assert subject.headers()["authorization"] == "Bearer 2"


def test_headers_of_one_call_are_its_own(rotating: Configuration) -> None:
    subject = KubernetesClient(rotating, "abcdesktop")
    subject.headers()["Content-Type"] = "text/plain"
    assert "Content-Type" not in subject.headers()
