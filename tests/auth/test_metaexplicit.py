"""Meta logins where no second forest is needed: what the configuration must say, failures of the meta forest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from oc.auth.directory.session import Entry, NotPermittedError
from oc.auth.providers import make_metaexplicit
from oc.auth.providers.activedirectory import ActiveDirectoryProvider, check_credentials, object_sid
from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError
from oc.auth.providers.metaexplicit import MetaProvider
from oc.errors import AuthenticationError, InvalidCredentialsError
from oc.model.deadline import Deadline
from oc.model.identity import ClientInfo

BASE: dict[str, Any] = {
    "domain": "META",
    "servers": ["ldaps://meta.example.test"],
    "ldap_basedn": "DC=meta,DC=test",
    "serviceaccount": {"login": "svc", "password": "secret"},
    "join_key_ldapattribut": "extensionAttribute1",
}
SID = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100")
ATTEMPT = Attempt(ClientInfo("10.0.0.1"), "turanga", "slurm")


class Home(ActiveDirectoryProvider):
    """A home domain that knows one password."""

    asked: list[str]

    def __init__(self, name: str, domain: str) -> None:
        given = {"domain": domain, "servers": ["ldaps://dc"], "ldap_basedn": "DC=home"}
        super().__init__(name, given, ProviderContext())
        self.asked = []

    @contextmanager
    def open(self, attempt: Attempt) -> Iterator[Account]:
        self.asked.append(str(attempt.userid))
        if attempt.password != "slurm":
            raise InvalidCredentialsError
        yield Account(
            str(attempt.userid), "Turanga Leela", {"objectSid": "S-1-5-21-1", "mail": "leela@home"}, ("cn=home,dc=h",)
        )


class Session:
    """A connection to the meta forest, bound as the user."""

    def __init__(self, principals: list[Entry], fails: bool = False) -> None:
        self.principals = principals
        self.fails = fails
        self.asked: list[tuple[str, str]] = []
        self.closed = 0

    def search(self, base: str, text: str, scope: str, attributes: Any, *, limit: int) -> list[Entry]:
        self.asked.append((base, text))
        if self.fails:
            raise NotPermittedError("no")
        return self.principals

    def close(self) -> None:
        self.closed += 1


class Forest(MetaProvider):
    """A meta forest with one entry; the wire is replaced, what is made of its answers is not."""

    entry: Entry | None = None
    session: Any = None

    def _meta_entry(self, login: str, deadline: Deadline) -> Entry | None:
        return self.entry

    def _connect_as_home_user(self, home: ActiveDirectoryProvider, attempt: Attempt, deadline: Deadline) -> Any:
        if self.session is None:
            raise InvalidCredentialsError
        return self.session


def entry(**values: str) -> Entry:
    return Entry("CN=t,DC=meta,DC=test", {name.lower(): (text.encode(),) for name, text in values.items()})


def forest(home: Provider, found: Entry | None, session: Session | None = None, **keys: Any) -> Forest:
    def find(domain: str | None) -> Provider | None:
        return home if domain in (None, "HOME") else None

    made = Forest("metadirectory", {**BASE, **keys}, ProviderContext(home=find))
    made.entry, made.session = found, session
    return made


JOINED = entry(extensionAttribute1="HOME\\leela", memberOf="cn=meta,dc=m", mail="leela@meta", title="captain")


def test_what_both_forests_know_is_merged_and_the_home_wins() -> None:
    home = Home("home", "HOME")
    session = Session([entry(cn="S-1-5-21-1", memberOf="cn=foreign,dc=m")])
    with forest(home, JOINED, session).open(ATTEMPT) as account:
        assert account.roles == ("cn=home,dc=h", "cn=meta,dc=m", "cn=foreign,dc=m")
        assert (account.attributes["mail"], account.attributes["memberof"]) == ("leela@home", "cn=meta,dc=m")
        assert account.display == "metadirectory via home"
        assert [view.provider.name for view in account.views] == ["home", "metadirectory"]
        assert all(view.labels for view in account.views)
        assert session.closed == 0
    assert home.asked == ["leela"]
    assert session.closed == 1
    base, text = session.asked[0]
    assert base == "CN=ForeignSecurityPrincipals,DC=meta,DC=test"
    assert text == "(&(objectClass=foreignSecurityPrincipal)(objectSid=S-1-5-21-1))"


def test_groups_of_groups_are_asked_for_the_principal() -> None:
    session = Session([entry(cn="S-1-5-21-1")])
    with forest(Home("home", "HOME"), entry(extensionAttribute1="HOME\\leela"), session).open(ATTEMPT) as account:
        meta = account.views[1].account
        assert meta.roles == ()
        assert meta.member_of is not None
        assert meta.member_of("cn=a*b,dc=m") is True
    assert "(memberof:1.2.840.113556.1.4.1941:=cn\\3da\\2ab,dc\\3dm)" in session.asked[1][1]
    assert "objectSid=S-1-5-21-1" in session.asked[1][1]


@pytest.mark.parametrize("session", [None, Session([], fails=True)])
def test_a_meta_forest_that_does_not_let_the_user_in_adds_nothing_but_its_acl(session: Session | None) -> None:
    with forest(Home("home", "HOME"), JOINED, session).open(ATTEMPT) as account:
        assert account.roles == ("cn=home,dc=h",)
        assert "title" not in account.attributes
        assert [(view.provider.name, view.labels) for view in account.views] == [
            ("home", True),
            ("metadirectory", False),
        ]


@pytest.mark.parametrize("found", [None, entry(cn="turanga"), entry(extensionAttribute1="")])
def test_a_login_without_home_account_goes_to_the_ordinary_provider_unchanged(found: Entry | None) -> None:
    home = Home("home", "HOME")
    with forest(home, found).open(ATTEMPT) as account:
        assert [view.provider for view in account.views] == [home]
    assert home.asked == ["turanga"]


@pytest.mark.parametrize("join", ["ELSEWHERE\\leela", "leela", "HOME\\", "\\leela"])
def test_a_home_that_nobody_serves_ends_the_login(join: str) -> None:
    home = Home("home", "HOME")
    with (
        pytest.raises(AuthenticationError, match="Invalid domain"),
        forest(home, entry(extensionAttribute1=join)).open(ATTEMPT),
    ):
        pass
    assert home.asked == []


def test_what_happens_to_the_login_later_does_not_look_like_a_failure_of_the_meta_forest() -> None:
    session = Session([])
    with pytest.raises(InvalidCredentialsError), forest(Home("home", "HOME"), JOINED, session).open(ATTEMPT):
        raise InvalidCredentialsError
    assert session.closed == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"join_key_ldapattribut": None}, "join_key_ldapattribut"),
        ({"join_key_ldapattribut": "a)(b"}, "join_key_ldapattribut"),
        ({"serviceaccount": None}, "serviceaccount"),
        ({"foreign_filter": "(objectSid=*)"}, "foreign_filter"),
        ({"foreign_basedn": "nowhere"}, "foreign_basedn"),
        ({"servers": None}, "servers or domain_fqdn"),
        ({"query_dcs": True}, "domain_fqdn"),
        ({"domain": "A B"}, "domain"),
        ({"ldap_basedn": None}, "ldap_basedn"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ProviderError, match=named) as caught:
        make_metaexplicit("metadirectory", {**BASE, **change}, ProviderContext())
    assert "secret" not in str(caught.value)


def test_a_security_identifier_is_written_as_windows_writes_it() -> None:
    assert object_sid(Entry("x", {"objectsid": (SID,)})) == "S-1-5-21-2127521184-1604012920-1887927527-72713"
    for broken in (b"", b"\x01", SID[:-1], b"\x01\xff" + SID[2:]):
        assert object_sid(Entry("x", {"objectsid": (broken,)})) == ""


@pytest.mark.parametrize("login", [*'"/[]:;|=,+*?<>', "\x00", "a\x1fb", "a\\b", "", " ", "x" * 21])
def test_logins_that_no_domain_has_are_refused(login: str) -> None:
    with pytest.raises(InvalidCredentialsError, match="Unsafe login credentials"):
        check_credentials(login, "p")


@pytest.mark.parametrize("password", ["", "\t", "a\x7f", "x" * 256])
def test_passwords_that_no_domain_has_are_refused(password: str) -> None:
    with pytest.raises(InvalidCredentialsError, match="Unsafe password credentials"):
        check_credentials("fry", password)
