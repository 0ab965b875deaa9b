"""HTTP/1.1 to the API server: framing, connections that are kept or not, what fails and how, the way there."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from devstack.cluster.certificates import Authority
from oc.errors import ODError
from oc.od.orchestrator import KubernetesClient, KubernetesError, wire
from oc.od.orchestrator.dialing import Dialer
from oc.od.orchestrator.podmodel import POD_CHANGE, Pod
from oc.od.orchestrator.reflector import Reflector
from oc.od.orchestrator.resources import PODS, SECRETS
from oc.od.orchestrator.wire import Connection, Wire, WireError

from .scripted import EMPTY, OK, Server, ask, chunk, client_of, wire_to


@pytest.mark.parametrize("pieces", [None, 1, 7])
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:  2 \r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\no\r\n01 \r\nk\r\n0\r\nT: x\r\n\r\n", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"ok"),
    ],
)
def test_a_body_is_read_to_its_end_and_the_connection_kept(
    serve: Callable[..., Server], answer: bytes, body: bytes, pieces: int | None
) -> None:
    server = serve([[answer, OK]], pieces)
    subject = wire_to(server)
    assert ask(subject).body == body
    assert ask(subject).body == b"ok"
    assert len(server.asked) == 1
    del subject
    assert server.over.wait(5)


def test_a_large_body_is_whole(serve: Callable[..., Server]) -> None:
    body = b"x" * 1_000_003
    subject = wire_to(serve([[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]]))
    assert ask(subject).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
    ],
    ids=["said", "old", "more-than-asked"],
)
def test_a_connection_that_does_not_last_is_not_used_again(serve: Callable[..., Server], answer: bytes) -> None:
    server = serve([[answer], [OK]])
    subject = wire_to(server)
    assert [ask(subject).body, ask(subject).body] == [b"ok", b"ok"]
    assert len(server.asked) == 2


def test_a_body_may_end_with_the_connection(serve: Callable[..., Server]) -> None:
    subject = wire_to(serve([[b"HTTP/1.1 200 OK\r\n\r\nok"]], hang_up=True))
    connection, head = subject.open(wire.request("GET", "/", {}), 5, 5)
    with closing(connection):
        assert (head.length, head.chunked, head.lasting) == (None, False, False)
        assert b"".join(connection.parts(head)) == b"ok"


def test_a_kept_connection_the_server_has_closed_is_replaced(serve: Callable[..., Server]) -> None:
    server = serve([[OK], [OK]])
    kept: list[Connection] = []

    def dial(seconds: float) -> Connection:
        kept.append(Connection(socket.create_connection(("127.0.0.1", server.port), seconds)))
        return kept[-1]

    subject = Wire(dial, 4)
    assert ask(subject).body == b"ok"
    kept[0].interrupt()
    assert not kept[0].is_idle()
    assert ask(subject).body == b"ok"
    assert len(kept) == 2
    assert kept[0].fileno() == -1, "closed"


def test_no_more_connections_are_kept_than_allowed(serve: Callable[..., Server]) -> None:
    server = serve([[OK], [OK]])
    subject = wire_to(server, kept=0)
    ask(subject)
    ask(subject)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2 * wire.MAX_HEAD + b"\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_an_error_and_may_have_been_heard(
    serve: Callable[..., Server], answer: bytes
) -> None:
    server = serve([[answer]], hang_up=True)
    made: list[Connection] = []

    def dial(seconds: float) -> Connection:
        made.append(Connection(socket.create_connection(("127.0.0.1", server.port), seconds)))
        return made[-1]

    with pytest.raises(WireError) as caught:
        ask(Wire(dial, 4))
    assert (caught.value.sent, caught.value.late) == (True, False)
    assert made[0].fileno() == -1, "closed"


def test_an_answer_that_does_not_come_is_late(serve: Callable[..., Server]) -> None:
    subject = wire_to(serve([[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"]]))
    with pytest.raises(WireError) as caught:
        ask(subject, seconds=0.1)
    assert (caught.value.sent, caught.value.late) == (True, True)


def test_what_nobody_listens_to_was_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(WireError) as caught:
        ask(Wire(lambda seconds: Connection(socket.create_connection(("127.0.0.1", port), seconds)), 4))
    assert (caught.value.sent, caught.value.late) == (False, False)


@pytest.mark.parametrize("name", ["\r\nX: y", "\n", "a\0b"])
def test_a_header_field_cannot_begin_another_one(name: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        wire.request("GET", "/", {"Authorization": f"Bearer {name}"})
    with pytest.raises(ValueError, match="line end"):
        wire.request("GET", f"/{name}", {})


def test_a_request_has_its_fields_and_the_length_of_its_body() -> None:
    assert wire.request("POST", "/a?b=c", {"Host": "h"}, b"{}") == (
        b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert wire.request("GET", "/", {}) == b"GET / HTTP/1.1\r\n\r\n"


def test_the_api_below_a_path_is_asked_there(serve: Callable[..., Server]) -> None:
    server = serve([[EMPTY]])
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.port}/k8s/clusters/c-1/"
    assert KubernetesClient(configuration, "n").items(SECRETS, "a=b") == []
    first, *fields = server.asked[0][0].decode().split("\r\n")
    assert first.startswith("GET /k8s/clusters/c-1/api/v1/namespaces/n/secrets?labelSelector=a%3Db")
    assert f"Host: 127.0.0.1:{server.port}" in fields
    assert "Accept: application/json" in fields


def test_the_server_is_reached_through_the_proxy_unless_it_is_excepted(serve: Callable[..., Server]) -> None:
    server = serve([[b"HTTP/1.1 200 Connection established\r\n\r\n", EMPTY], [EMPTY]])
    configuration = Configuration()
    configuration.host = "http://kubernetes.example.org"
    configuration.proxy = f"http://127.0.0.1:{server.port}"
    configuration.proxy_headers = {"Proxy-Authorization": "Basic eA=="}
    assert KubernetesClient(configuration, "n").items(PODS, "a=b") == []
    tunnel, call = server.asked[0]
    assert tunnel == (
        b"CONNECT kubernetes.example.org:80 HTTP/1.1\r\nHost: kubernetes.example.org:80\r\n"
        b"Proxy-Authorization: Basic eA==\r\n\r\n"
    )
    assert call.startswith(b"GET /api/v1/namespaces/n/pods")
    assert b"Proxy-Authorization" not in call
    configuration.host = f"http://127.0.0.1:{server.port}"
    configuration.no_proxy = "127.0.0.0/8"
    assert KubernetesClient(configuration, "n").items(PODS, "a=b") == []
    assert server.asked[1][0].startswith(b"GET /api")


def test_a_proxy_that_refuses_was_not_sent_the_call(serve: Callable[..., Server]) -> None:
    server = serve([[b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"]] * 4)
    configuration = Configuration()
    configuration.host = "https://kubernetes.example.org"
    configuration.proxy = f"http://127.0.0.1:{server.port}"
    with pytest.raises(KubernetesError, match="403") as caught:
        KubernetesClient(configuration, "n", sleep=lambda seconds: None).create(SECRETS, {})
    assert not caught.value.maybe_done


@pytest.mark.parametrize(
    ("host", "proxy"), [("", None), ("kubernetes:443", None), ("https://kubernetes", "socks5://127.0.0.1:1080")]
)
def test_what_cannot_be_reached_is_said_at_once(host: str, proxy: str | None) -> None:
    configuration = Configuration()
    configuration.host = host
    configuration.proxy = proxy
    with pytest.raises(ODError):
        Dialer(configuration)


class Noting:
    """A handler that keeps what it is told."""

    changes = POD_CHANGE

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.told = threading.Event()

    def listed(self, pods: object) -> None: ...
    def complete(self, names: object, version: str) -> None: ...
    def bookmark(self, version: str) -> None: ...

    def apply(self, change: str, pod: Pod) -> None:
        self.applied.append(pod.name)
        self.told.set()


def test_a_watch_that_is_closed_in_the_middle_of_a_line_ends_quietly(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    listed = json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}).encode()
    event = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
    server = serve(
        [
            [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(listed), listed)],
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(event) + b"ff\r\n" + event[:10]],
        ]
    )
    handler = Noting()
    client = client_of(server)
    client._wire = wire_to(server, kept=0)
    subject = Reflector(client, PODS, handler)  # type: ignore[arg-type]
    subject.start()
    assert handler.told.wait(5)
    subject.stop()
    assert handler.applied == ["a"]
    assert [record for record in caplog.records if record.exc_info or record.levelname in ("ERROR", "WARNING")] == []


def test_a_watch_that_is_closed_shows_nothing_but_its_events(serve: Callable[..., Server], tmp_path: Path) -> None:
    """What had come by then was taken for plain text, and its line ends for those of events."""
    authority = Authority.make()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_server("127.0.0.1", tmp_path))
    (tmp_path / "ca.pem").write_text(authority.pem)
    event = chunk(b'{"type":"ADDED","object":"%s"}\n' % (b"x" * 20_000))
    server = serve([[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 100 * event]], tls=context)
    configuration = Configuration()
    configuration.host = f"https://127.0.0.1:{server.port}"
    configuration.ssl_ca_cert = str(tmp_path / "ca.pem")
    stream = KubernetesClient(configuration, "n").watch(PODS, "1", timeout_seconds=10, silence=5)
    lines = iter(stream)
    first = next(lines)
    stream.close()
    assert [json.loads(line)["type"] for line in (first, *lines)].count("ADDED") > 0
