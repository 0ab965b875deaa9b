"""Servers that are down, hang, talk nonsense or die; certificates nobody vouches for; answers without end."""

from __future__ import annotations

import base64
import datetime
import logging
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack.peers.planetexpress import FRY, ROOT_DN
from devstack.peers.slapd import Slapd
from devstack.peers.testca import TestCa
from oc.auth.directory import transport
from oc.auth.directory.directory import ALL_AWAY
from oc.auth.directory.transport import BoundedSocket
from oc.auth.providers import Attempt
from oc.auth.providers.ldap import LdapProvider
from oc.errors import AuthenticationFailureError, InvalidCredentialsError
from oc.model.deadline import Deadline
from tests.waiting import eventually

from .support import (
    BY_UID,
    CLIENT,
    Answer,
    Directory,
    dead_address,
    hang,
    hang_up,
    listener,
    login,
    nonsense,
)

FAST = {"ldap_connect_timeout": 1, "ldap_timeout": 1}


def in_order(provider: LdapProvider) -> LdapProvider:
    """Try the servers in the order of the configuration."""
    provider._directory.servers._shuffle = lambda _: None
    return provider


@pytest.mark.parametrize("answer", [hang, hang_up, nonsense], ids=["hangs", "hangs up", "talks nonsense"])
def test_the_next_server_is_asked_when_the_first(directory: Directory, answer: Answer) -> None:
    with listener(answer) as (address, connections):
        provider = in_order(directory.provider(servers=[address, directory.slapd.ldap[1]], **FAST))
        assert login(provider, "Philip J. Fry", "fry").userid == "fry"
        assert len(connections) == 1
        assert login(provider, "Philip J. Fry", "fry").userid == "fry"
        assert len(connections) == 1, "a server that failed is asked last for a while"


def test_the_next_server_is_asked_when_the_first_is_down(directory: Directory) -> None:
    provider = in_order(directory.provider(servers=[dead_address(), directory.slapd.ldap[1]]))
    assert login(provider, "Philip J. Fry", "fry").userid == "fry"


def test_a_host_name_that_does_not_exist_is_a_server_that_is_down(directory: Directory) -> None:
    provider = in_order(directory.provider(servers=["no-such-host.invalid", directory.slapd.ldap[0]]))
    assert login(provider, "Philip J. Fry", "fry").userid == "fry"


def test_a_refused_password_asks_no_other_server(directory: Directory) -> None:
    """Or one wrong password would count as many, and lock accounts."""
    with listener(hang) as (address, connections):
        provider = in_order(directory.provider(servers=[directory.slapd.ldap[0], address]))
        with pytest.raises(InvalidCredentialsError):
            login(provider, "Philip J. Fry", "wrong")
        assert connections == []


def test_without_any_server_the_user_is_told_so_and_nobody_is_counted(directory: Directory) -> None:
    provider = directory.provider(servers=[dead_address(), dead_address()])
    with pytest.raises(AuthenticationFailureError) as refused:
        login(provider, "Philip J. Fry", "fry")
    assert refused.value.message == ALL_AWAY == "Can not contact LDAP servers, all servers are unavailable"
    assert not isinstance(refused.value, InvalidCredentialsError)


@pytest.mark.timeout(30)
def test_hanging_servers_cost_no_more_than_their_times_out(directory: Directory) -> None:
    with listener(hang) as (first, one), listener(hang) as (second, two):
        provider = directory.provider(servers=[first, second], **FAST)
        with pytest.raises(AuthenticationFailureError, match="all servers are unavailable"):
            login(provider, "Philip J. Fry", "fry")
        assert (len(one), len(two)) == (1, 1)


@pytest.mark.parametrize(
    ("keys", "count", "expected"),
    [
        ({}, 1, 20),
        ({"ldap_timeout": 5, "ldap_connect_timeout": 2}, 3, 21),
        ({"ldap_timeout": 0, "ldap_connect_timeout": 0}, 1, 20),
        ({"ldap_timeout": 3600, "ldap_connect_timeout": 3600}, 1, 50),
        ({}, 20, 50),
    ],
)
def test_a_login_ends_within_a_minute_whatever_is_configured(
    directory: Directory, keys: dict[str, int], count: int, expected: int
) -> None:
    provider = directory.provider(servers=[f"ldap{n}.example.com" for n in range(count)], **keys)
    assert expected - 1 < provider._directory.deadline().remaining() <= expected


def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time() -> None:
    """A time-out of each read alone would wait for such a server for ever."""
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            theirs.sendall(b"\x30")

    thread = threading.Thread(target=trickle)
    thread.start()
    bounded = BoundedSocket(ours, Deadline(0.3), 10.0)

    def read_all() -> None:
        while True:
            bounded.recv(1)

    with ours, theirs:
        with pytest.raises(TimeoutError):
            read_all()
        stop.set()
        thread.join()


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 1000)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x" * 2000)
        bounded = BoundedSocket(ours, Deadline(5), 5.0)
        bounded.recv(600)
        with pytest.raises(OSError, match="too large"):
            bounded.recv(600)
        bounded.sendall(b"next request")
        theirs.sendall(b"x" * 600)
        assert bounded.recv(600)


def test_an_entry_larger_than_a_read_arrives_whole(own_slapd: Slapd, tmp_path: Path) -> None:
    photo = random.Random(3).randbytes(300_000)
    own_slapd.modify(
        f"dn: {FRY}\nchangetype: modify\nreplace: jpegPhoto\njpegPhoto:: " + base64.b64encode(photo).decode() + "\n"
    )
    directory = Directory(own_slapd, tmp_path)
    assert login(directory.provider(), "Philip J. Fry", "fry").attributes["jpegPhoto"] == photo


def test_a_restarted_server_is_found_again_by_the_service_account(own_slapd: Slapd, tmp_path: Path) -> None:
    directory = Directory(own_slapd, tmp_path)
    provider = directory.provider(**BY_UID)
    assert login(provider, "fry", "fry").userid == "fry"
    own_slapd.restart()
    assert login(provider, "fry", "fry").userid == "fry"
    directory.close()


def test_a_server_that_dies_after_the_login_fails_membership_questions_only(own_slapd: Slapd, tmp_path: Path) -> None:
    provider = Directory(own_slapd, tmp_path).provider(memberof_attribut_name="seeAlso")
    with provider.open(Attempt(CLIENT, "Philip J. Fry", "fry")) as account:
        own_slapd.stop()
        assert account.member_of is not None
        with pytest.raises(AuthenticationFailureError):
            account.member_of("ship_crew")


def test_referrals_are_never_followed(own_slapd: Slapd, tmp_path: Path) -> None:
    """A bind that followed one would hand the password to a server nobody configured."""
    with listener(hang) as (elsewhere, connections):
        own_slapd.modify(
            "dn: ou=moved,ou=people,dc=planetexpress,dc=com\nchangetype: add\nobjectClass: referral\n"
            f"objectClass: extensibleObject\nou: moved\nref: {elsewhere}/ou=people,dc=planetexpress,dc=com\n"
        )
        directory = Directory(own_slapd, tmp_path)
        moved = directory.provider(users_ou="ou=moved,ou=people,dc=planetexpress,dc=com", **FAST)
        with pytest.raises((AuthenticationFailureError, InvalidCredentialsError)):
            login(moved, "Philip J. Fry", "fry")
        provider = directory.provider(**BY_UID)
        assert login(provider, "fry", "fry").userid == "fry"
        directory.close()
        assert connections == []


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["ldaps", "StartTLS"])
def encrypted(request: pytest.FixtureRequest, slapd: Slapd) -> dict[str, object]:
    if request.param == "ldaps":
        return {"servers": [slapd.ldaps]}
    return {"servers": [slapd.ldap[0]], "start_tls": True}


def test_an_unknown_authority_is_refused_by_default(directory: Directory, encrypted: dict[str, object]) -> None:
    start = directory.slapd.log_size()
    with pytest.raises(AuthenticationFailureError, match="all servers are unavailable"):
        login(directory.provider(**encrypted), "Philip J. Fry", "fry")
    assert eventually(lambda: directory.slapd.connections(start) == (1, 1))
    assert "BIND" not in directory.slapd.requests(start)


def test_a_private_authority_is_trusted_by_its_file(directory: Directory, encrypted: dict[str, object]) -> None:
    provider = directory.provider(**encrypted, tls_ca_file=str(directory.slapd.ca_file))
    assert login(provider, "Philip J. Fry", "fry").userid == "fry"


def test_the_file_of_the_authority_may_be_relative(directory: Directory, encrypted: dict[str, object]) -> None:
    (directory.base / "ca.pem").write_bytes(directory.slapd.ca_file.read_bytes())
    assert login(directory.provider(**encrypted, tls_ca_file="ca.pem"), "Philip J. Fry", "fry").userid == "fry"


def test_another_authority_is_refused(directory: Directory, encrypted: dict[str, object], tmp_path: Path) -> None:
    other = TestCa(tmp_path / "other").ca_file
    with pytest.raises(AuthenticationFailureError):
        login(directory.provider(**encrypted, tls_ca_file=str(other)), "Philip J. Fry", "fry")


def test_verification_can_be_switched_off_and_says_so(
    directory: Directory, encrypted: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    provider = directory.provider(**encrypted, tls_require_cert=False)
    assert login(provider, "Philip J. Fry", "fry").userid == "fry"
    assert "tls_require_cert" in caplog.text


def test_an_address_is_verified_like_a_name(directory: Directory) -> None:
    server = directory.slapd.ldaps.replace("localhost", "127.0.0.1")
    provider = directory.provider(servers=[server], tls_ca_file=str(directory.slapd.ca_file))
    assert login(provider, "Philip J. Fry", "fry").userid == "fry"


@contextmanager
def tls_listener(ca: TestCa, hosts: list[str], age_days: int = 0) -> Iterator[str]:
    """A TLS server with a certificate of ``ca``; it ends the connection after the handshake."""
    files = ca.issue("server", hosts, age=datetime.timedelta(days=age_days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)

    def shake_hands(connection: socket.socket) -> None:
        connection.settimeout(5)
        context.wrap_socket(connection, server_side=True).close()

    with listener(shake_hands) as (address, _):
        yield address.replace("ldap://127.0.0.1", "ldaps://localhost")


@pytest.mark.parametrize(("hosts", "age_days"), [(["ldap.example.com"], 0), (["localhost"], 60)])
def test_a_certificate_for_another_name_or_of_the_past_is_refused(
    directory: Directory, caplog: pytest.LogCaptureFixture, tmp_path: Path, hosts: list[str], age_days: int
) -> None:
    ca = TestCa(tmp_path / "ca")
    with (
        tls_listener(ca, hosts, age_days) as address,
        pytest.raises(AuthenticationFailureError),
    ):
        login(directory.provider(servers=[address], tls_ca_file=str(ca.ca_file), **FAST), "Philip J. Fry", "fry")
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


def test_a_hanging_handshake_ends_in_time(directory: Directory) -> None:
    with listener(hang) as (address, _):
        servers = [address.replace("ldap://", "ldaps://"), directory.slapd.ldap[0]]
        provider = in_order(directory.provider(servers=servers, **FAST))
        assert login(provider, "Philip J. Fry", "fry").userid == "fry"


def test_a_server_without_starttls_gets_no_password(slapd: Slapd, tmp_path: Path) -> None:
    """There is no way back to clear text."""
    with Slapd(tmp_path / "plain", tls=False) as without:
        start = without.log_size()
        provider = Directory(without, tmp_path).provider(start_tls=True, tls_require_cert=False)
        with pytest.raises(AuthenticationFailureError):
            login(provider, "Philip J. Fry", "fry")
        assert eventually(lambda: "UNBIND" in without.requests(start) or without.connections(start)[1] == 1)
        assert "BIND" not in without.requests(start)


def test_a_directory_that_demands_encryption_is_a_matter_of_configuration(
    slapd: Slapd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Slapd(tmp_path / "strict", strict=True) as server:
        directory = Directory(server, tmp_path)
        caplog.set_level(logging.INFO)
        with pytest.raises(AuthenticationFailureError, match="does not permit"):
            login(directory.provider(), "Philip J. Fry", "fry")
        assert "confidentialityRequired" in caplog.text
        provider = directory.provider(start_tls=True, tls_ca_file=str(server.ca_file))
        assert login(provider, "Philip J. Fry", "fry").userid == "fry"
        assert ROOT_DN not in caplog.text
