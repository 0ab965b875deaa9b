"""The secrets of a login: written, written again, and never over somebody else's."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.model.identity import Identity, Login
from oc.od.orchestrator import KubernetesError, Orchestrator
from oc.od.orchestrator.resources import Resource

from .conftest import login_of
from .support import CLIENT, SECRETS, ClusterAdmin, Progress, settings_with


def data(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def by_type(admin: ClusterAdmin, identity: Identity) -> dict[str, dict[str, Any]]:
    return {secret["type"].rpartition("/")[2]: secret for secret in admin.secrets(identity.userid)}


def uids(secrets: Iterable[dict[str, Any]]) -> set[str]:
    return {secret["metadata"]["uid"] for secret in secrets}


def copy_secrets(admin: ClusterAdmin, identity: Identity, written: str, **changes: str) -> None:
    """A second secret for each purpose, written at that time."""
    changed = {key: base64.b64encode(value.encode()).decode() for key, value in changes.items()}
    for secret in admin.secrets(identity.userid):
        metadata = {
            "name": f"{secret['metadata']['name']}-copy",
            "labels": secret["metadata"]["labels"],
            "annotations": {"abcdesktop/written": written},
        }
        data = secret["data"] | (changed if secret["metadata"]["labels"]["access_type"] == "ldif" else {})
        admin.api("POST", SECRETS, {"metadata": metadata, "type": secret["type"], "data": data})


def test_a_login_writes_its_secrets_and_they_can_be_read_back(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    found = by_type(admin, login.identity)
    assert set(found) == {"ldif", "localaccount", "posixaccount"}
    assert data(found["localaccount"])["passwd"].startswith(login.identity.userid)
    assert orchestrator.secret_types(login.identity) == [
        "abcdesktop/ldif",
        "abcdesktop/localaccount",
        "abcdesktop/posixaccount",
    ]
    ldif = orchestrator.ldif(login.identity)
    assert ldif["mail"] == "fry@example.org"
    assert ldif["userid"] == login.identity.userid
    assert "userPassword" not in ldif


def test_who_never_logged_in_has_no_secrets(orchestrator: Orchestrator, make_identity: Callable[..., Identity]) -> None:
    identity = make_identity()
    assert orchestrator.secret_types(identity) == []
    assert orchestrator.ldif(identity) == {}


def test_a_login_of_a_new_user_costs_one_call_a_secret(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    with admin.counted() as calls:
        orchestrator.write_login_secrets(replace(login, new_user=True))
    assert calls == {"create secrets": 3}


def test_a_login_costs_a_list_and_one_call_a_secret(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    with admin.counted() as calls:
        orchestrator.write_login_secrets(login)
    assert calls == {"list secrets": 1, "create secrets": 3}
    with admin.counted() as calls:
        orchestrator.write_login_secrets(login)
    assert calls == {"list secrets": 1, "patch secrets": 3}


def test_a_user_id_of_two_providers_costs_more_only_once(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    other = replace(login, identity=replace(login.identity, provider="other"))
    with admin.counted() as calls:
        orchestrator.write_login_secrets(other)
    assert calls == {"list secrets": 1, "create secrets": 6, "get secrets": 3}
    for one in (login, other):
        with admin.counted() as calls:
            orchestrator.write_login_secrets(one)
        assert calls == {"list secrets": 1, "patch secrets": 3}


def test_a_second_login_replaces_data_and_drops_what_is_gone(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(replace(login, attributes={"mail": "old@example.org", "phone": "1"}))
    before = by_type(admin, login.identity)["ldif"]["metadata"]["uid"]
    orchestrator.write_login_secrets(replace(login, attributes={"mail": "new@example.org"}))
    after = by_type(admin, login.identity)["ldif"]
    assert after["metadata"]["uid"] == before
    assert data(after)["mail"] == "new@example.org"
    assert "phone" not in data(after)


def test_labels_of_a_secret_follow_the_login(orchestrator: Orchestrator, login: Login, admin: ClusterAdmin) -> None:
    """A secret of the right name whose type label is wrong would not be found at launch."""
    orchestrator.write_login_secrets(login)
    name = f"auth-ldif-{login.identity.userid}"
    admin.api(
        "PATCH",
        f"{SECRETS}/{name}",
        {"metadata": {"labels": {"access_type": "other", "kept": "yes"}}},
        "application/merge-patch+json",
    )
    orchestrator.write_login_secrets(login)
    labels = admin.api("GET", f"{SECRETS}/{name}")["metadata"]["labels"]
    assert labels["access_type"] == "ldif"
    assert labels["kept"] == "yes"


def test_the_same_userid_of_another_provider_gets_secrets_of_its_own(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    before = {secret["metadata"]["uid"]: secret["data"] for secret in admin.secrets(login.identity.userid)}
    other = replace(login, identity=replace(login.identity, provider="other"), attributes={"mail": "evil@example.org"})
    orchestrator.write_login_secrets(other)
    after = {secret["metadata"]["uid"]: secret["data"] for secret in admin.secrets(login.identity.userid)}
    assert len(after) == 2 * len(before)
    assert before.items() <= after.items()
    assert orchestrator.ldif(login.identity)["mail"] == "fry@example.org"
    assert orchestrator.ldif(other.identity)["mail"] == "evil@example.org"
    orchestrator.write_login_secrets(other)
    assert len(admin.secrets(login.identity.userid)) == 2 * len(before)


def test_a_user_keeps_the_secrets_when_the_usual_names_become_free(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    other = replace(login, identity=replace(login.identity, provider="other"), attributes={"mail": "old@example.org"})
    orchestrator.write_login_secrets(other)
    orchestrator.remove_desktop(login.identity)
    before = admin.secrets(login.identity.userid)
    with admin.counted() as calls:
        orchestrator.write_login_secrets(replace(other, attributes={"mail": "new@example.org"}))
    assert calls == {"list secrets": 1, "patch secrets": 3}
    assert uids(admin.secrets(login.identity.userid)) == uids(before)
    assert orchestrator.ldif(other.identity)["mail"] == "new@example.org"
    orchestrator.remove_desktop(other.identity)
    assert admin.secrets(login.identity.userid) == []


def test_of_two_secrets_for_one_purpose_the_last_logins_is_read_and_the_next_login_leaves_one(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    """Two first logins at once leave two when the usual name, another provider's until then, is freed in between."""
    orchestrator.write_login_secrets(login)
    first = by_type(admin, login.identity)
    copy_secrets(admin, login.identity, "2001-01-01T00:00:00+00:00", mail="old@example.org")
    assert orchestrator.ldif(login.identity)["mail"] == "fry@example.org"
    assert orchestrator.secret_types(login.identity).count("abcdesktop/localaccount") == 1
    with admin.counted() as calls:
        orchestrator.write_login_secrets(login)
    assert calls == {"list secrets": 1, "patch secrets": 3, "delete secrets": 3}
    assert uids(admin.secrets(login.identity.userid)) == uids(first.values())

    copy_secrets(admin, login.identity, "2999-01-01T00:00:00+00:00", mail="later@example.org")
    assert orchestrator.ldif(login.identity)["mail"] == "later@example.org"
    orchestrator.write_login_secrets(replace(login, attributes={"mail": "new@example.org"}))
    assert uids(admin.secrets(login.identity.userid)).isdisjoint(uids(first.values()))
    assert orchestrator.ldif(login.identity)["mail"] == "new@example.org"


def test_a_second_secret_that_cannot_be_removed_does_not_fail_a_login(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    copy_secrets(admin, login.identity, "2001-01-01T00:00:00+00:00")
    admin.fault(verb="delete", resource="secrets", status=403)
    orchestrator.write_login_secrets(login)
    desktop = orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))
    assert desktop.is_reachable


def test_a_secret_written_since_it_was_read_is_not_removed_as_a_second_one(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login at the same time, of a replica whose clock is late, took that one for the last."""
    orchestrator.write_login_secrets(login)
    copy_secrets(admin, login.identity, "2001-01-01T00:00:00+00:00")
    patch = orchestrator.client.patch

    def patch_after_another(resource: Resource, name: str, *arguments: Any, **options: Any) -> Any:
        body = {"metadata": {"annotations": {"somebody": "else"}}}
        admin.api("PATCH", f"{SECRETS}/{name}-copy", body, "application/merge-patch+json")
        return patch(resource, name, *arguments, **options)

    monkeypatch.setattr(orchestrator.client, "patch", patch_after_another)
    orchestrator.write_login_secrets(login)
    assert len(admin.secrets(login.identity.userid)) == 6


def test_a_secret_that_is_removed_after_the_list_is_made_anew(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logout in another browser."""
    orchestrator.write_login_secrets(login)
    items = orchestrator.client.items

    def items_before_a_logout(*arguments: Any, **options: Any) -> Any:
        found = items(*arguments, **options)
        monkeypatch.setattr(orchestrator.client, "items", items)
        orchestrator.remove_desktop(login.identity)
        return found

    monkeypatch.setattr(orchestrator.client, "items", items_before_a_logout)
    orchestrator.write_login_secrets(login)
    assert len(admin.secrets(login.identity.userid)) == 3


def test_shares_of_two_labels_at_one_place_have_a_secret_each(
    make_orchestrator: Callable[..., Orchestrator], login: Login, admin: ClusterAdmin
) -> None:
    """A user who had one label at one login and the other at the next must find the share of the other one."""
    place = {"type": "cifs", "name": "projects", "unc": "//nas/projects"}
    rules = {label: {**place, "volumename": label} for label in ("red", "blue")}
    orchestrator = make_orchestrator(
        settings_with(image="example/idle:1", desktop__policies={"rules": {"volumes": rules}})
    )
    claims = {**login.claims, "driver": {"username": "fry", "password": "secret"}}
    for label in ("red", "blue"):
        identity = replace(login.identity, labels={label: "true"})
        orchestrator.write_login_secrets(replace(login, identity=identity, claims=claims))
    desktop = orchestrator.create_desktop(identity, CLIENT, Progress(), Deadline(30))
    (pod,) = admin.pods(identity.userid)
    assert pod["metadata"]["name"] == desktop.name
    assert [one["flexVolume"]["options"]["networkPath"] for one in pod["spec"]["volumes"] if "flexVolume" in one] == [
        "//nas/projects"
    ]


def test_an_unlabelled_secret_of_that_name_is_left_alone(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    name = f"auth-localaccount-{login.identity.userid}"
    admin.api("POST", SECRETS, {"metadata": {"name": name}, "stringData": {"passwd": "theirs"}})
    orchestrator.write_login_secrets(login)
    assert data(admin.api("GET", f"{SECRETS}/{name}")) == {"passwd": "theirs"}
    assert "localaccount" in by_type(admin, login.identity)


def test_two_logins_at_once_both_succeed(
    orchestrator: Orchestrator, make_orchestrator: Callable[..., Orchestrator], login: Login, admin: ClusterAdmin
) -> None:
    replicas = [orchestrator, make_orchestrator()] * 4
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(replica.write_login_secrets, login) for replica in replicas]:
            future.result(30)
    assert len(admin.secrets(login.identity.userid)) == 3


def test_logins_at_once_leave_one_secret_of_two_for_each_purpose(
    orchestrator: Orchestrator, make_orchestrator: Callable[..., Orchestrator], login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    copy_secrets(admin, login.identity, "2001-01-01T00:00:00+00:00")
    replicas = [orchestrator, make_orchestrator()] * 4
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(replica.write_login_secrets, login) for replica in replicas]:
            future.result(30)
    assert len(admin.secrets(login.identity.userid)) == 3


@pytest.mark.parametrize("kind", ["localaccount", "ldif"])
def test_a_login_whose_needed_secret_cannot_be_written_fails(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin, kind: str
) -> None:
    name = f"auth-{kind}-{login.identity.userid}"
    admin.api("POST", SECRETS, {"metadata": {"name": name}})
    admin.fault(verb="get", resource="secrets", name=name, status=403)
    with pytest.raises(KubernetesError) as caught:
        orchestrator.write_login_secrets(login)
    assert caught.value.status == 500


def test_a_login_survives_the_loss_of_a_secret_that_is_not_needed(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    name = f"auth-posixaccount-{login.identity.userid}"
    admin.api("POST", SECRETS, {"metadata": {"name": name}})
    admin.fault(verb="get", resource="secrets", name=name, status=403)
    orchestrator.write_login_secrets(login)
    assert set(by_type(admin, login.identity)) == {"ldif", "localaccount"}


@pytest.mark.parametrize("after", [True, False])
def test_a_lost_answer_does_not_fail_a_login(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin, after: bool
) -> None:
    admin.fault(verb="create", resource="secrets", drop=True, after=after, count=2)
    orchestrator.write_login_secrets(login)
    assert len(admin.secrets(login.identity.userid)) == 3


def test_a_list_that_fails_once_is_asked_for_again(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    orchestrator.write_login_secrets(login)
    admin.fault(verb="list", resource="secrets", status=500, count=1)
    with admin.counted() as calls:
        orchestrator.write_login_secrets(login)
    assert calls == {"list secrets": 2, "patch secrets": 3}


def test_a_login_whose_list_is_refused_fails_and_writes_nothing(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    admin.fault(verb="list", resource="secrets", user="*pyos*", status=403)
    with pytest.raises(KubernetesError):
        orchestrator.write_login_secrets(login)
    admin.no_faults()
    assert admin.secrets(login.identity.userid) == []


def test_authentication_secrets_are_written_for_what_the_login_brings(
    orchestrator: Orchestrator, login: Login, admin: ClusterAdmin
) -> None:
    claims = dict(login.claims) | {"ntlm": {"NTLM_USER": "fry", "NTLM_KEY": "a2V5"}}
    orchestrator.write_login_secrets(replace(login, claims=claims))
    assert by_type(admin, login.identity)["ntlm"]["metadata"]["labels"]["access_type"] == "auth"


def test_a_login_without_account_files_fails(orchestrator: Orchestrator, login: Login) -> None:
    with pytest.raises(ODError):
        orchestrator.write_login_secrets(replace(login, claims={}))


def test_providers_may_share_a_userid_when_configured_so(
    make_orchestrator: Callable[..., Orchestrator], make_identity: Callable[..., Identity], admin: ClusterAdmin
) -> None:
    orchestrator = make_orchestrator(settings_with(desktop__authproviderneverchange=False))
    first = login_of(make_identity(provider="planet"))
    second = replace(first, identity=replace(first.identity, provider="other"))
    orchestrator.write_login_secrets(first)
    orchestrator.write_login_secrets(second)
    found = admin.secrets(first.identity.userid)
    assert len(found) == 3
    assert {secret["metadata"]["labels"]["access_provider"] for secret in found} == {"other"}
