"""Calls to the API: what is repeated, what is not, what an error says, whose credentials go with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from oc.errors import DeadlineExceededError, ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator import KubernetesClient, KubernetesError
from oc.od.orchestrator import client as module
from oc.od.orchestrator.client import JSON_PATCH, load_configuration
from oc.od.orchestrator.podmodel import POD_LIST
from oc.od.orchestrator.resources import CONFIGMAPS, PODS, SECRETS, STORAGE_CLASSES, VOLUMES

from .support import SECRETS as SECRETS_PATH
from .support import ClusterAdmin


def secret(name: str, value: str = "eA==") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"access_userid": name}},
        "data": {"k": value},
    }


@pytest.fixture
def calls() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
def observed(configuration: Configuration, calls: list[tuple[str, str, int]]) -> KubernetesClient:
    """A client that notes its calls and does not really pause."""
    return KubernetesClient(
        configuration,
        "abcdesktop",
        observer=lambda verb, resource, code, seconds: calls.append((verb, resource, code)),
        sleep=lambda seconds: None,
    )


def test_an_object_is_created_read_patched_and_deleted(observed: KubernetesClient, admin: ClusterAdmin) -> None:
    made = observed.create(SECRETS, secret("client-1"))
    assert observed.get(SECRETS, "client-1")["metadata"]["uid"] == made["metadata"]["uid"]
    assert observed.patch(SECRETS, "client-1", {"data": {"k": "eQ=="}})["data"] == {"k": "eQ=="}
    patch = [{"op": "replace", "path": "/data/k", "value": "eg=="}]
    assert observed.patch(SECRETS, "client-1", patch, content_type=JSON_PATCH)["data"] == {"k": "eg=="}
    assert [obj["metadata"]["name"] for obj in observed.items(SECRETS, "access_userid=client-1")] == ["client-1"]
    assert observed.delete(SECRETS, "client-1", uid=made["metadata"]["uid"]) is True
    assert observed.delete(SECRETS, "client-1") is False


def test_every_call_is_counted_with_verb_resource_and_status(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    observed.page(PODS, "type=nothing", POD_LIST)
    with pytest.raises(KubernetesError):
        observed.get(SECRETS, "client-none")
    assert calls == [("list", "pods", 200), ("get", "secrets", 404)]


def test_the_api_is_told_who_calls(observed: KubernetesClient, admin: ClusterAdmin) -> None:
    admin.forget_requests()
    observed.items(PODS, "type=nothing")
    (seen,) = [one for one in admin.requests_seen() if "pyos" in one["user"] and one["verb"] == "list"]
    assert seen["user_agent"] == "pyos/4.4"


def test_a_read_is_repeated_when_the_api_stumbles(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    admin.fault(verb="list", resource="pods", status=503, count=1)
    admin.fault(verb="list", resource="pods", drop=True, count=1)
    observed.items(PODS, "type=nothing")
    assert [code for _, _, code in calls] == [503, 0, 200]


def test_a_read_is_not_repeated_for_ever(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    admin.fault(verb="list", resource="pods", status=500)
    with pytest.raises(KubernetesError):
        observed.items(PODS, "type=nothing")
    assert len(calls) == module.MAX_TRIES


def test_a_creation_is_never_repeated_after_it_may_have_happened(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    admin.fault(verb="create", resource="secrets", drop=True, after=True, count=1)
    with pytest.raises(KubernetesError) as caught:
        observed.create(SECRETS, secret("client-2"))
    assert caught.value.maybe_done
    assert caught.value.code == 0
    assert len(calls) == 1
    assert observed.delete(SECRETS, "client-2")


@pytest.mark.parametrize("status", [500, 504])
def test_a_creation_answered_by_a_server_error_may_have_happened(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]], status: int
) -> None:
    admin.fault(verb="create", resource="secrets", status=status, count=1)
    with pytest.raises(KubernetesError) as caught:
        observed.create(SECRETS, secret("client-3"))
    assert caught.value.maybe_done
    assert len(calls) == 1


def test_a_creation_that_was_turned_away_is_sent_again(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    admin.fault(verb="create", resource="secrets", status=429, retry_after_s=1, count=2)
    observed.create(SECRETS, secret("client-4"))
    assert [code for _, _, code in calls] == [429, 429, 201]
    assert observed.delete(SECRETS, "client-4")


def test_a_refusal_is_not_repeated_and_carries_the_words_of_the_api(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    observed.create(SECRETS, secret("client-5"))
    with pytest.raises(KubernetesError) as caught:
        observed.create(SECRETS, secret("client-5"))
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")
    assert "client-5" in caught.value.api_message
    assert "client-5" not in caught.value.message, "what the client sees names no object"
    assert not caught.value.maybe_done
    assert [code for _, _, code in calls] == [201, 409]
    assert observed.delete(SECRETS, "client-5")


def test_a_missing_right_is_an_error_of_ours(observed: KubernetesClient, admin: ClusterAdmin) -> None:
    """pyos may not create config maps: its role says so."""
    with pytest.raises(KubernetesError) as caught:
        observed.create(CONFIGMAPS, {"metadata": {"name": "client-6"}})
    assert (caught.value.code, caught.value.status) == (403, 500)


def test_a_deletion_with_another_uid_deletes_nothing(observed: KubernetesClient, admin: ClusterAdmin) -> None:
    observed.create(SECRETS, secret("client-7"))
    assert observed.delete(SECRETS, "client-7", uid="00000000-0000-0000-0000-000000000000") is False
    assert admin.exists(f"{SECRETS_PATH}/client-7")
    assert observed.delete(SECRETS, "client-7")


def test_a_deletion_of_something_written_since_deletes_nothing(observed: KubernetesClient, admin: ClusterAdmin) -> None:
    read = observed.create(SECRETS, secret("client-8"))["metadata"]
    observed.patch(SECRETS, "client-8", {"data": {"k": "eQ=="}})
    assert observed.delete(SECRETS, "client-8", uid=read["uid"], version=read["resourceVersion"]) is False
    assert observed.delete(SECRETS, "client-8")


@pytest.mark.parametrize("name", ["", ".", "..", "../pods", "a/b", "A", "a b", "-a", "a?b=c", "x" * 254])
def test_a_name_that_is_none_never_reaches_the_api(
    observed: KubernetesClient, name: str, calls: list[tuple[str, str, int]]
) -> None:
    """An empty one would make a deletion of one object a deletion of all."""
    for act in (observed.get, observed.delete):
        if act is observed.delete:
            assert observed.delete(SECRETS, name) is False
        else:
            with pytest.raises(KubernetesError) as caught:
                observed.get(SECRETS, name)
            assert caught.value.code == 404
    assert calls == []


def test_no_call_begins_after_the_deadline(observed: KubernetesClient, calls: list[tuple[str, str, int]]) -> None:
    with pytest.raises(DeadlineExceededError):
        observed.items(PODS, "type=nothing", deadline=Deadline(0))
    assert calls == []


def test_a_slow_api_is_left_at_the_deadline(
    observed: KubernetesClient, admin: ClusterAdmin, calls: list[tuple[str, str, int]]
) -> None:
    admin.fault(verb="list", resource="pods", latency_s=5.0)
    with pytest.raises(ODError):
        observed.items(PODS, "type=nothing", deadline=Deadline(0.3))
    assert [code for _, _, code in calls] == [0]


def test_an_api_that_is_not_there_is_unavailable() -> None:
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    away = KubernetesClient(configuration, "abcdesktop", sleep=lambda seconds: None)
    with pytest.raises(KubernetesError) as caught:
        away.items(PODS, "")
    assert caught.value.status == 503
    assert caught.value.reason == "Unreachable"
    with pytest.raises(KubernetesError) as caught:
        away.create(SECRETS, secret("client-9"))
    assert not caught.value.maybe_done, "nobody heard it"


def test_the_version_of_the_server_is_read(observed: KubernetesClient) -> None:
    assert observed.server_version() >= (1, 30)


def test_urls_name_namespace_and_subresource(observed: KubernetesClient) -> None:
    host = observed.configuration.host
    assert observed.url(PODS, "a", "log", "x=1") == f"{host}/api/v1/namespaces/abcdesktop/pods/a/log?x=1"
    assert observed.url(VOLUMES, "v") == f"{host}/api/v1/persistentvolumes/v"
    assert observed.url(STORAGE_CLASSES) == f"{host}/apis/storage.k8s.io/v1/storageclasses"


def test_without_any_configuration_both_causes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(ODError, match=r"in-cluster: .*; kubeconfig: "):
        load_configuration()


def test_the_kubeconfig_named_by_the_environment_is_used(
    stack: object, monkeypatch: pytest.MonkeyPatch, configuration: Configuration
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    path = str(stack.kubeconfig_pyos)  # type: ignore[attr-defined]
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", path)
    assert load_configuration().host == configuration.host


@pytest.mark.parametrize(
    ("code", "maybe_done", "repeat", "again"),
    [
        (429, False, False, True),
        (0, False, False, True),
        (0, True, False, False),
        (0, True, True, True),
        (503, True, False, False),
        (503, True, True, True),
        (409, False, True, False),
        (403, False, True, False),
        (404, False, True, False),
        (410, False, True, False),
    ],
)
def test_only_what_is_safe_is_sent_again(code: int, maybe_done: bool, repeat: bool, again: bool) -> None:
    error = KubernetesError(code, "r", "m", doing="d", maybe_done=maybe_done)
    assert (module._pause(error, 1, repeat) is not None) is again


def test_the_wait_the_api_asks_for_is_honoured_within_reason() -> None:
    pause: Callable[[float], float | None] = lambda seconds: module._pause(  # noqa: E731
        KubernetesError(429, "r", "m", doing="d", retry_after=seconds), 1, False
    )
    assert 1 <= (pause(1) or 0) <= 2
    assert (pause(3600) or 0) <= 11
