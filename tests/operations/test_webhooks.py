"""Webhooks of network rules: run when a desktop was made and when it is gone, once, with values that stay values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.service import Service
from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.composer.webhooks import ANNOTATION, Webhooks
from oc.od.kuberneteswatcher import KubernetesWatcher
from oc.od.orchestrator import Desktop, Orchestrator
from oc.od.settings.declaration import ConfigurationError
from oc.sharecache import LocalCache
from tests.od.orchestrator.conftest import login_of
from tests.od.orchestrator.support import CLIENT, PODS, ClusterAdmin, Progress, settings_with
from tests.support import Api
from tests.waiting import eventually

Make = Callable[..., Any]

NASTY = "Philip'; touch {mark}; '$(touch {mark})\n`touch {mark}` \"J\" Fry"


class Hooks:
    """A replica with webhooks that write what they are given to files of a directory."""

    def __init__(self, orchestrator: Orchestrator, webhooks: Webhooks, directory: Path) -> None:
        self.orchestrator = orchestrator
        self.webhooks = webhooks
        self.directory = directory

    def lines(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().split("\0")[:-1] if path.exists() else []

    def desktop(self, login: Login) -> Desktop:
        self.orchestrator.write_login_secrets(login)
        desktop = self.orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))
        self.webhooks.created(desktop, login.identity, Progress())()
        return desktop


def rules(directory: Path, **webhook: Any) -> dict[str, Any]:
    return {"rules": {"network": {"shipcrew": {"webhook": webhook}, "other": {"annotations": {"a": "b"}}}}}


def note(directory: Path, name: str, *values: str) -> str:
    """A line that appends its values to a file, each with a NUL behind it."""
    return f"printf '%s\\0' {' '.join(values)} >> {directory / name}"


@pytest.fixture
def make_hooks(
    make_orchestrator: Make, admin: ClusterAdmin, cache: LocalCache, tmp_path: Path
) -> Iterator[Callable[..., Hooks]]:
    made: list[Webhooks] = []

    def make(*, seconds: float = 20, keys: dict[str, Any] | None = None, **webhook: Any) -> Hooks:
        settings = settings_with(
            image="example/idle:1", **{"desktop.policies": rules(tmp_path, **webhook), **(keys or {})}
        )
        orchestrator = make_orchestrator(settings)
        webhooks = Webhooks(settings, orchestrator, cache, seconds=seconds)
        made.append(webhooks)
        return Hooks(orchestrator, webhooks, tmp_path)

    yield make
    for webhooks in made:
        webhooks.stop()


def test_create_commands_get_the_desktop_and_the_user(make_hooks: Make, login: Login, tmp_path: Path) -> None:
    values = ["{{ ipAddr }}", '"{{ id }}"', "'{{ userid }}'", "{{ provider }}", "{{ mail }}", "{{ token }}", "{{ no }}"]
    hooks = make_hooks(
        create=[note(tmp_path, "made", *values), ["/usr/bin/touch", str(tmp_path / "{{ userid }}")]],
        keys={"desktop.webhookdict": {"token": "s3cr3t"}},
    )
    desktop = hooks.desktop(login)
    user = login.identity
    assert hooks.lines("made") == [desktop.ip, desktop.name, user.userid, "planet", "fry@example.org", "s3cr3t", ""]
    assert (tmp_path / user.userid).exists()


def test_nothing_a_user_is_called_becomes_a_command(
    make_hooks: Make, make_identity: Callable[..., Identity], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    hooks = make_hooks(
        create=[
            note(tmp_path, "bare", "{{ name }}"),
            note(tmp_path, "single", "'{{ name }}'"),
            note(tmp_path, "double", '"{{ name }}"'),
            ["/bin/sh", "-c", "echo {{ name }}"],
            "eval echo {{ name }}; true",
        ]
    )
    name = NASTY.format(mark=mark)
    hooks.desktop(login_of(make_identity(name=name)))
    assert [hooks.lines(kind) for kind in ("bare", "single", "double")] == [[name]] * 3
    assert not mark.exists()


def test_the_operators_words_win_over_the_directorys(make_hooks: Make, login: Login, tmp_path: Path) -> None:
    hooks = make_hooks(
        create=note(tmp_path, "made", "{{ mail }}"), keys={"desktop.webhookdict": {"mail": "operator@example.org"}}
    )
    hooks.desktop(login)
    assert hooks.lines("made") == ["operator@example.org"]


def test_values_are_url_encoded_where_configured(
    make_hooks: Make, make_identity: Callable[..., Identity], tmp_path: Path
) -> None:
    hooks = make_hooks(
        create=note(tmp_path, "made", "{{ name }}", "{{ url }}"),
        keys={"desktop.webhookencodeparams": True, "desktop.webhookdict": {"url": "http://x/?a=b"}},
    )
    hooks.desktop(login_of(make_identity(name="Fry & Sons/1")))
    assert hooks.lines("made") == ["Fry%20%26%20Sons%2F1", "http://x/?a=b"]


def test_users_without_the_label_have_no_webhooks(
    make_hooks: Make, make_identity: Callable[..., Identity], admin: ClusterAdmin, tmp_path: Path
) -> None:
    hooks = make_hooks(create=note(tmp_path, "made", "x"), destroy="true")
    progress = Progress()
    login = login_of(make_identity(labels={"other": "true"}))
    hooks.orchestrator.write_login_secrets(login)
    desktop = hooks.orchestrator.create_desktop(login.identity, CLIENT, progress, Deadline(30))
    with admin.counted() as calls:
        hooks.webhooks.created(desktop, login.identity, progress)()
    assert not calls
    assert hooks.lines("made") == []
    assert not progress.has("c.Updating")


def test_a_webhook_that_fails_or_hangs_is_only_reported(
    make_hooks: Make, login: Login, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = make_hooks(
        seconds=0.5, create=["false", "sleep 300", ["/none/here"], "{{ name }}", note(tmp_path, "made", "last")]
    )
    assert hooks.desktop(login).status == "Running"
    assert hooks.lines("made") == ["last"]
    for text in ("exit status 1", "not ended in 0.5 s", "cannot be started", "place of the program"):
        assert text in caplog.text
    assert "sleep 300" not in caplog.text


def test_no_more_than_sixteen_commands_are_accepted() -> None:
    with pytest.raises(ConfigurationError, match="16"):
        settings_with(**{"desktop.policies": rules(Path(), create=["true"] * 17)})


def test_destroy_commands_run_when_the_pod_is_gone_with_the_values_it_had(
    make_hooks: Make, login: Login, cache: LocalCache, admin: ClusterAdmin, tmp_path: Path
) -> None:
    line = note(tmp_path, "gone", "{{ ipAddr }}", "{{ userid }}", "{{ token }}")
    hooks = make_hooks(destroy=[line], keys={"desktop.webhookdict": {"token": "s3cr3t"}})
    watcher = KubernetesWatcher(hooks.orchestrator, cache, desktop_deleted=hooks.webhooks.destroyed)
    watcher.start()
    try:
        desktop = hooks.desktop(login)
        pod = admin.api("GET", f"{PODS}/{desktop.name}")
        assert "s3cr3t" not in json.dumps(pod)
        assert "printf" not in json.dumps(pod["metadata"])
        assert hooks.lines("gone") == []
        admin.api("DELETE", f"{PODS}/{desktop.name}?gracePeriodSeconds=0")
        assert eventually(lambda: hooks.lines("gone") == [desktop.ip, login.identity.userid, "s3cr3t"])
        assert eventually(lambda: cache.get(f"webhook.{desktop.name}") is None)
    finally:
        watcher.stop()


def test_a_restart_of_the_cache_loses_no_destroy_command(
    make_hooks: Make, login: Login, cache: LocalCache, tmp_path: Path
) -> None:
    hooks = make_hooks(destroy=note(tmp_path, "gone", "{{ id }}"))
    desktop = hooks.desktop(login)
    cache.delete(f"webhook.{desktop.name}")
    pod = hooks.orchestrator.cache.get(desktop.name)
    assert pod is not None
    assert ANNOTATION in pod.metadata.annotations
    hooks.webhooks.destroyed(pod)
    assert eventually(lambda: hooks.lines("gone") == [desktop.name])


def test_replicas_run_a_destroy_command_once(
    make_hooks: Make, login: Login, cache: LocalCache, admin: ClusterAdmin, tmp_path: Path
) -> None:
    both = [make_hooks(destroy=note(tmp_path, "gone", "{{ id }}")) for _ in range(2)]
    watchers = [KubernetesWatcher(one.orchestrator, cache, desktop_deleted=one.webhooks.destroyed) for one in both]
    for watcher in watchers:
        watcher.start()
    try:
        desktop = both[0].desktop(login)
        assert eventually(lambda: both[1].orchestrator.cache.get(desktop.name) is not None)
        admin.api("DELETE", f"{PODS}/{desktop.name}?gracePeriodSeconds=0")
        assert eventually(lambda: all(one.orchestrator.cache.get(desktop.name) is None for one in both))
        assert eventually(lambda: both[0].lines("gone"))
        for watcher in watchers:
            watcher.stop()
        assert both[0].lines("gone") == [desktop.name]
    finally:
        for watcher in watchers:
            watcher.stop()


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"labels": 1, "values": {}}',
        '{"labels": ["shipcrew"]}',
        '{"labels": ["shipcrew"], "values": {"id": "$(touch MARK)"}, "command": ["touch MARK"], "destroy": "x"}',
    ],
)
def test_who_may_write_annotations_may_not_choose_commands(
    make_hooks: Make, login: Login, tmp_path: Path, text: str, admin: ClusterAdmin
) -> None:
    hooks = make_hooks(destroy=note(tmp_path, "gone", "{{ id }}"))
    desktop = hooks.desktop(login)
    forged = text.replace("MARK", str(tmp_path / "mark"))
    body = {"metadata": {"annotations": {ANNOTATION: forged}}}
    admin.api("PATCH", f"{PODS}/{desktop.name}", body, "application/merge-patch+json")
    assert eventually(
        lambda: (pod := hooks.orchestrator.cache.get(desktop.name)) and pod.metadata.annotations[ANNOTATION] == forged
    )
    pod = hooks.orchestrator.cache.get(desktop.name)
    assert pod is not None
    hooks.webhooks.destroyed(pod)
    hooks.webhooks._pool.shutdown(wait=True)
    assert not (tmp_path / "mark").exists()
    assert len(hooks.lines("gone")) == ("command" in text)


def test_webhooks_run_around_a_desktop_of_the_service(
    own_service: Callable[..., Service], tmp_path: Path, admin: ClusterAdmin
) -> None:
    line = {"create": [note(tmp_path, "made", "{{ id }}")], "destroy": note(tmp_path, "gone", "{{ id }}")}
    policies = {"rules": {"network": {"default": {"webhook": line}}}}
    # other tests' services, without webhooks, share the stack: this one decides for itself
    service = own_service({"desktop.policies": policies, "memcacheserver": "local"})
    with Api(service.url, service.api_key) as api:
        api.login()
        api.result("composer/launchdesktop")
        (pod,) = admin.pods(str(api.userid))
        name = pod["metadata"]["name"]
        made = tmp_path / "made"
        assert name in made.read_text()
        api.post("auth/logout")
        gone = tmp_path / "gone"
        assert eventually(lambda: gone.exists() and name in gone.read_text(), 40)
