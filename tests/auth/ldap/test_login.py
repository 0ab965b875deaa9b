"""Logins of the planetexpress crew on a real OpenLDAP server: who they are, and how they prove it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from devstack.peers.planetexpress import ADMIN_STAFF, FRY, MOM_NAME, PHOTO, ROOT_DN, ROOT_PASSWORD, SHIP_CREW
from oc.auth.directory.attributes import user_attributes
from oc.auth.directory.session import Entry
from oc.auth.providers import Attempt
from oc.auth.providers.ldap import LdapProvider
from oc.errors import AuthenticationError, AuthenticationFailureError, InvalidCredentialsError
from oc.model.identity import PosixGroup
from tests.waiting import eventually

from .support import BY_UID, CLIENT, Directory, login

WAYS = {
    "simple": {"auth_type": "SIMPLE"},
    "lower case": {"auth_type": "simple"},
    "anonymous": {"auth_type": "ANONYMOUS"},
    "service account": {"serviceaccount": {"login": ROOT_DN, "password": ROOT_PASSWORD}},
}


@pytest.mark.parametrize("way", WAYS)
def test_fry_logs_in(directory: Directory, way: str) -> None:
    account = login(directory.provider(**WAYS[way]), "Philip J. Fry", "fry")
    assert (account.userid, account.name) == ("fry", "Philip J. Fry")
    assert account.roles == (SHIP_CREW,)
    assert account.password == "fry"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("userid", "password"), [("Philip J. Fry", "leela"), ("Lrrr", "lrrr"), ("Nobody", "x"), ("Philip J. Fry", "FRY")]
)
def test_a_wrong_password_and_an_unknown_user_get_the_same_text(
    directory: Directory, way: str, userid: str, password: str
) -> None:
    with pytest.raises(InvalidCredentialsError) as refused:
        login(directory.provider(**WAYS[way]), userid, password)
    assert refused.value.message == "invalidCredentials"
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_user_costs_the_directory_what_a_wrong_password_costs(directory: Directory, way: str) -> None:
    asked: list[list[str]] = []
    for userid in ("Philip J. Fry", "Lrrr"):
        provider = directory.provider(**WAYS[way])
        start = directory.slapd.log_size()
        with pytest.raises(InvalidCredentialsError):
            login(provider, userid, "wrong")
        provider.close()
        assert eventually(lambda at=start: directory.slapd.all_closed(at))
        asked.append([request for request in directory.slapd.requests(start) if request != "UNBIND"])
    assert asked[0] == asked[1]
    assert "BIND" in asked[0]


def test_a_service_account_lets_users_log_in_by_another_attribute(directory: Directory) -> None:
    provider = directory.provider(**BY_UID)
    for userid in ("fry", "leela", "bender", "hermes", "professor", "zoidberg", "amy", "mom"):
        assert login(provider, userid, userid).userid == userid


def test_a_name_of_two_parts_is_found_by_the_search_only(directory: Directory) -> None:
    with pytest.raises(InvalidCredentialsError):
        login(directory.provider(), "Amy Wong", "amy")
    assert login(directory.provider(auth_type="ANONYMOUS"), "Amy Wong", "amy").userid == "amy"


@pytest.mark.parametrize("way", WAYS)
def test_special_characters_and_accents_of_a_name_are_just_characters(directory: Directory, way: str) -> None:
    provider = directory.provider(**WAYS[way])
    assert login(provider, MOM_NAME, "mom").userid == "mom"
    assert login(provider, "Bender Bending Rodríguez", "bender").userid == "bender"


def test_the_userid_is_the_directory_s_not_what_was_typed(directory: Directory) -> None:
    """The server ignores case and blanks of names: all spellings must end in one user."""
    provider = directory.provider()
    assert {login(provider, typed, "fry").userid for typed in ("philip j. fry", "PHILIP  J. FRY ")} == {"fry"}


def test_the_password_s_unicode_form_does_not_matter(directory: Directory) -> None:
    """SASLprep (RFC 4013): what a keyboard sends composed or with a compatibility character is one password."""
    assert login(directory.provider(), "Philip J. Fry", "\uff46\uff52\uff59").userid == "fry"


def test_the_attributes_come_as_text_photos_as_bytes_passwords_never(directory: Directory) -> None:
    attributes = login(directory.provider(), "Philip J. Fry", "fry").attributes
    assert attributes["jpegPhoto"] == PHOTO
    assert attributes["mail"] == "fry@planetexpress.com"
    assert attributes["givenName"] == "Philip"
    assert "posixAccount" in attributes["objectClass"]
    assert attributes["memberOf"] == SHIP_CREW
    assert not [name for name in attributes if "assword" in name]


def test_no_password_hash_is_taken_even_from_a_server_that_gives_it() -> None:
    names = {
        "userpassword": "userPassword",
        "sambantpassword": "sambaNTPassword",
        "krbprincipalkey": "krbPrincipalKey",
        "sn": "sn",
    }
    entry = Entry(FRY, dict.fromkeys(names, (b"x",)), names)
    assert user_attributes(entry) == {"sn": "x"}


def test_a_posix_account_comes_with_its_primary_and_other_groups(planet: LdapProvider) -> None:
    posix = login(planet, "Philip J. Fry", "fry").posix
    assert posix is not None
    assert (posix.uid, posix.gid, posix.uidNumber, posix.gidNumber) == ("fry", "planetexpress", 2042, 12042)
    assert (posix.homeDirectory, posix.loginShell, posix.gecos) == ("/home/fry", "/bin/sh", "Philip J. Fry")
    assert (posix.cn, posix.description) == ("Philip J. Fry", "Human")
    assert posix.groups == (
        PosixGroup("pilots", 12050, ("leela", "fry")),
        PosixGroup("drinkers", 12051, ("bender", "fry")),
    )


def test_the_name_of_an_unknown_primary_group_is_the_user_s(planet: LdapProvider) -> None:
    posix = login(planet, "John A. Zoidberg", "zoidberg").posix
    assert posix is not None
    assert (posix.gid, posix.gidNumber) == ("zoidberg", 99)
    assert [group.cn for group in posix.groups] == ["doctors"]


def test_users_without_a_posix_account_have_none(planet: LdapProvider) -> None:
    assert login(planet, "Hubert J. Farnsworth", "professor").posix is None


def test_own_filters_find_account_and_groups(directory: Directory) -> None:
    provider = directory.provider(
        posixAccount_filter="(&(objectClass=posixAccount)(cn=%s))",
        posixAccountGroup_filter="(&(objectClass=posixGroup)(gidNumber=%s)(cn=planet*))",
        posixGroup_filter="(&(objectClass=posixGroup)(!(gidNumber=%s))(memberUid=%s)(cn=pil*))",
    )
    posix = login(provider, "Philip J. Fry", "fry").posix
    assert posix is not None
    assert (posix.uid, posix.gid, [group.cn for group in posix.groups]) == ("fry", "planetexpress", ["pilots"])


def test_other_attributes_may_hold_id_and_name(directory: Directory) -> None:
    provider = directory.provider(useridattr="displayName", useruidattr="sn")
    account = login(provider, "Philip J. Fry", "fry")
    assert (account.userid, account.name) == ("Fry", "Fry")


def test_a_user_without_an_id_is_refused(planet: LdapProvider) -> None:
    with pytest.raises(AuthenticationFailureError, match="no user id"):
        login(planet, "Morbo", "morbo")


def test_a_user_the_filter_leaves_out_is_refused_as_unknown(directory: Directory) -> None:
    provider = directory.provider(user_filter=f"(&(objectClass=person)(cn=%s)(memberOf={ADMIN_STAFF}))")
    assert login(provider, "Hermes Conrad", "hermes").userid == "hermes"
    with pytest.raises(InvalidCredentialsError):
        login(provider, "Philip J. Fry", "fry")


def test_a_login_that_fits_two_entries_is_nobody_s(directory: Directory) -> None:
    provider = directory.provider(auth_type="ANONYMOUS", user_filter="(&(objectClass=person)(|(cn=%s)(uid=leela)))")
    with pytest.raises(InvalidCredentialsError):
        login(provider, "Hermes Conrad", "leela")
    assert login(provider, "Hermes Conrad", "hermes").userid == "hermes"


def test_filter_serves_where_user_filter_is_absent(directory: Directory) -> None:
    provider = directory.provider(**{**BY_UID, "user_filter": None, "filter": "(uid=%s)"})
    assert login(provider, "amy", "amy").userid == "amy"


@pytest.mark.parametrize("scope", ["LEVEL", "SCOPE_ONELEVEL", "subtree", "SCOPE_SUBTREE"])
def test_the_scope_is_written_in_many_ways(directory: Directory, scope: str) -> None:
    assert login(directory.provider(**BY_UID, scope=scope), "fry", "fry").userid == "fry"


def test_a_scope_too_narrow_finds_nobody(directory: Directory) -> None:
    provider = directory.provider(**BY_UID, scope="LEVEL", ldap_basedn="dc=planetexpress,dc=com")
    with pytest.raises(InvalidCredentialsError):
        login(provider, "fry", "fry")


def test_the_service_account_is_read_from_files_at_each_use(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "login").write_text(f"{ROOT_DN}  \nnot this line\n")
    secret = tmp_path / "password"
    secret.write_text("an old password\n")
    account = {"login": f"file://{tmp_path}/login", "password": f"file://{secret}"}
    provider = directory.provider(**{**BY_UID, "serviceaccount": account})
    with pytest.raises(InvalidCredentialsError):
        login(provider, "fry", "fry")
    secret.write_text(f"{ROOT_PASSWORD}\r\n")
    assert login(provider, "fry", "fry").userid == "fry"


@pytest.mark.parametrize("password", ["wrong", "file:///nonexistent/password"])
def test_a_broken_service_account_keeps_nobody_out_who_can_do_without(directory: Directory, password: str) -> None:
    provider = directory.provider(serviceaccount={"login": ROOT_DN, "password": password})
    assert login(provider, "Philip J. Fry", "fry").userid == "fry"


def test_the_connection_of_the_service_account_is_used_again(directory: Directory) -> None:
    provider = directory.provider(**BY_UID)
    start = directory.slapd.log_size()
    for _ in range(3):
        login(provider, "fry", "fry")
    assert directory.slapd.connections(start)[0] == 4
    provider.close()
    assert eventually(lambda: directory.slapd.connections(start) == (4, 4))


@pytest.mark.parametrize(
    ("userid", "password"), [("Philip J. Fry", "fry"), ("Philip J. Fry", "no"), ("Morbo", "morbo")]
)
def test_a_login_leaves_no_connection_open(directory: Directory, userid: str, password: str) -> None:
    start = directory.slapd.log_size()
    provider = directory.provider()
    with contextlib.suppress(AuthenticationError):
        login(provider, userid, password)
    assert eventually(lambda: directory.slapd.connections(start) == (1, 1))


def test_a_failing_login_step_closes_the_connection_too(directory: Directory) -> None:
    start = directory.slapd.log_size()
    with (
        pytest.raises(RuntimeError),
        directory.provider().open(Attempt(CLIENT, "Philip J. Fry", "fry")),
    ):
        raise RuntimeError("a step after the directory")
    assert eventually(lambda: directory.slapd.connections(start) == (1, 1))


@pytest.mark.parametrize("auth_type", ["SIMPLE", "ANONYMOUS"])
def test_auth_only_is_refused_where_the_directory_must_be_read(directory: Directory, auth_type: str) -> None:
    with pytest.raises(AuthenticationError, match="auth_only"):
        login(directory.provider(auth_type=auth_type, auth_only=True), "Philip J. Fry", "fry")


def test_an_unknown_auth_type_is_refused_at_login(directory: Directory) -> None:
    with pytest.raises(AuthenticationError, match="auth_type"):
        login(directory.provider(auth_type="DIGEST"), "Philip J. Fry", "fry")
