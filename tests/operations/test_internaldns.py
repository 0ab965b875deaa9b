"""Names of desktops in a name server: dynamic updates against a real BIND, and the update service over HTTP."""

from __future__ import annotations

import base64
import http.server
import json
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from devstack.children import die_with_parent
from devstack.service import Service, free_port
from oc.od.internaldns import DynamicUpdates, InternalDns, UpdateService, make_internal_dns
from oc.od.settings import settings_from_mapping
from oc.od.settings.declaration import ConfigurationError
from oc.od.settings.others import InternalDnsSettings
from tests.od.orchestrator.support import ClusterAdmin
from tests.support import Api
from tests.waiting import eventually

NAMED = shutil.which("named", path="/usr/sbin:/usr/bin:/usr/local/sbin")
ZONE = "desktops.example.org"
CONFIGURATION = """
options {{
  directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; pid-file none; session-keyfile none; notify no;
}};
controls {{}};
key "pyos" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type primary; file "{directory}/zone"; allow-update {{ key "pyos"; }}; }};
"""
RECORDS = f"$TTL 60\n@ IN SOA ns.{ZONE}. admin.{ZONE}. 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\n"


@dataclass(frozen=True)
class NameServer:
    port: int
    secret: str

    def addresses(self, hostname: str, kind: str = "A") -> list[str]:
        query = dns.message.make_query(f"{hostname}.{ZONE}", kind)
        answer = dns.query.udp(query, "127.0.0.1", timeout=5, port=self.port)
        return [item.address for rrset in answer.answer for item in rrset]

    def keys(self, **changes: Any) -> dict[str, Any]:
        found = {
            "enable": True,
            "domain": ZONE,
            "rfc2136_server": "127.0.0.1",
            "rfc2136_port": self.port,
            "rfc2136_keyname": "pyos",
            "rfc2136_keysecret": self.secret,
        }
        return {f"internaldns.{key}": value for key, value in (found | changes).items()}


def settings(keys: dict[str, Any]) -> InternalDnsSettings:
    return settings_from_mapping({"desktop.pod": {}, **keys}).internaldns


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    if NAMED is None:
        pytest.skip("BIND is not installed (Debian package bind9): see devstack/peers.sh")
    directory = tmp_path_factory.mktemp("named")
    found = NameServer(free_port(), base64.b64encode(secrets.token_bytes(32)).decode())
    (directory / "zone").write_text(RECORDS)
    (directory / "named.conf").write_text(
        CONFIGURATION.format(directory=directory, port=found.port, secret=found.secret, zone=ZONE)
    )
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        [NAMED, "-g", "-n", "1", "-c", str(directory / "named.conf"), "-p", str(found.port)],
        stdout=log,
        stderr=log,
        preexec_fn=die_with_parent,
    )
    try:
        assert eventually(lambda: process.poll() is not None or _serves(found)), (directory / "log").read_text()
        assert process.poll() is None, (directory / "log").read_text()
        yield found
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _serves(server: NameServer) -> bool:
    try:
        return server.addresses("ns") == ["127.0.0.1"]
    except (dns.exception.DNSException, OSError):
        return False


def test_a_name_is_added_changed_and_removed(server: NameServer) -> None:
    registry = DynamicUpdates(settings(server.keys()))
    assert registry.add("fry-12345", "10.244.0.7") == f"fry-12345.{ZONE}"
    assert server.addresses("fry-12345") == ["10.244.0.7"]
    registry.add("fry-12345", "10.244.0.8")
    assert server.addresses("fry-12345") == ["10.244.0.8"]
    registry.add("fry-12345", "2001:db8::7")
    assert server.addresses("fry-12345") == []
    assert server.addresses("fry-12345", "AAAA") == ["2001:db8::7"]
    assert registry.remove("fry-12345")
    assert server.addresses("fry-12345", "AAAA") == []


@pytest.mark.parametrize(
    "change",
    [
        {"rfc2136_keysecret": base64.b64encode(b"x" * 32).decode()},
        {"rfc2136_keyname": "other"},
        {"rfc2136_keyname": None, "rfc2136_keysecret": None},
        {"domain": "elsewhere.example.org"},
    ],
)
def test_a_refused_update_is_logged_without_the_key(
    server: NameServer, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert DynamicUpdates(settings(server.keys(**change))).add("leela-1", "10.0.0.1") is None
    assert "is not updated" in caplog.text
    assert server.secret not in caplog.text
    assert server.addresses("leela-1") == []


def test_a_server_that_is_away_costs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    keys = {"internaldns.enable": True, "internaldns.rfc2136_server": "127.0.0.1"}
    registry = DynamicUpdates(settings({**keys, "internaldns.rfc2136_port": free_port()}))
    assert registry.add("fry-1", "10.0.0.1") is None
    assert not registry.remove("fry-1")
    nowhere = {**keys, "internaldns.rfc2136_server": "no-such-host.invalid"}
    assert DynamicUpdates(settings(nowhere)).add("fry-1", "10.0.0.1") is None


def test_a_desktop_of_the_service_has_a_name_while_it_lives(
    server: NameServer, own_service: Callable[..., Service], admin: ClusterAdmin
) -> None:
    # other tests' services, without a name server, share the stack: this one decides for itself
    service = own_service({**server.keys(), "memcacheserver": "local"})
    with Api(service.url, service.api_key) as api:
        api.login()
        api.result("composer/launchdesktop")
        (pod,) = admin.pods(str(api.userid))
        name = pod["metadata"]["name"]
        assert eventually(lambda: server.addresses(name) == [pod["status"]["podIP"]])
        api.post("auth/logout")
        assert eventually(lambda: server.addresses(name) == [], 60)


class Updates(http.server.BaseHTTPRequestHandler):
    """The update service; ``server.answer`` is what it says, ``server.seen`` what it was asked."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.seen.append((url.path, parse_qs(url.query)))  # type: ignore[attr-defined]
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def update_service() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Updates) as running:
        running.seen, running.answer = [], (200, b"")  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join(5)


KEYS = {
    "internaldns.enable": True,
    "internaldns.server": "127.0.0.1",
    "internaldns.secret": "a secret & more",
    "internaldns.domain": ZONE,
}


def test_the_update_service_is_asked_as_it_expects(update_service: Any) -> None:
    good = {"Success": True, "Message": "", "Domain": "fry", "Domains": ["fry"], "Address": "10.0.0.1", "AddrType": "A"}
    update_service.answer = (200, json.dumps(good).encode())
    registry = UpdateService(settings(KEYS), update_service.server_port)
    assert registry.add("fry", "10.0.0.1") == f"fry.{ZONE}"
    asked = {"secret": ["a secret & more"], "domain": ["fry"], "addr": ["10.0.0.1"]}
    assert update_service.seen == [("/update", asked)]
    assert not registry.remove("fry")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"Success": true, "Address": "10.0.0.1", "AddrType": "A"}'),
        (302, b""),
        (200, b'{"Success": false, "Address": "10.0.0.1", "AddrType": "A"}'),
        (200, b'{"Success": true, "Address": "10.0.0.2", "AddrType": "A"}'),
        (200, b'{"Success": true, "Address": "10.0.0.1", "AddrType": "CNAME"}'),
        (200, b'{"Success": 1}'),
        (200, b"no json"),
        (200, b"[" * 100_000),
    ],
)
def test_any_other_answer_registers_nothing(
    update_service: Any, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    update_service.answer = (status, body)
    assert UpdateService(settings(KEYS), update_service.server_port).add("fry", "10.0.0.1") is None
    assert "a secret" not in caplog.text


def test_a_service_that_is_away_registers_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert UpdateService(settings(KEYS), free_port()).add("fry", "10.0.0.1") is None
    assert "secret" not in caplog.text


class Registry:
    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    def add(self, hostname: str, address: str) -> str | None:
        self.done.append((hostname, address))
        return hostname

    def remove(self, hostname: str) -> bool:
        self.done.append((hostname,))
        return True


def test_only_proper_names_and_addresses_are_written() -> None:
    registry = Registry()
    names = InternalDns(registry)
    names.started("fry-1", "10.0.0.1")
    names.started("fry-1", None)
    names.started("a.b", "10.0.0.1")
    names.ended("*")
    names.ended("fry-1")
    names.stop(wait=True)
    names.ended("fry-1")
    assert sorted(registry.done) == [("fry-1",), ("fry-1", "10.0.0.1")]


def test_a_slow_name_server_keeps_nobody_waiting() -> None:
    go = threading.Event()

    class Slow(Registry):
        def add(self, hostname: str, address: str) -> str | None:
            go.wait(20)
            return super().add(hostname, address)

    names = InternalDns(Slow())
    for number in range(600):
        names.started(f"fry-{number}", "10.0.0.1")
    assert not go.is_set()
    go.set()
    names.stop()


def test_nothing_is_made_unless_it_is_switched_on() -> None:
    assert make_internal_dns(settings({})) is None


def test_a_key_without_its_name_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="rfc2136"):
        settings(
            {"internaldns.enable": True, "internaldns.rfc2136_server": "ns", "internaldns.rfc2136_keyname": "pyos"}
        )
