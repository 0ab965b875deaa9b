"""What servers, balancers and proxies do to a conversation: answers too early, too slow, in no coding of ours;
connections that end; certificates that change; upgrades that are none.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from devstack.cluster.certificates import Authority
from oc.errors import ODError
from oc.od.orchestrator import ExecError, KubernetesClient, KubernetesError, wire
from oc.od.orchestrator.dialing import Dialer
from oc.od.orchestrator.execution import ExecResult, run_in_container
from oc.od.orchestrator.resources import PODS, SECRETS
from oc.od.orchestrator.tls import ResumingContext
from oc.od.orchestrator.wire import Connection, Wire, WireError

from .scripted import EMPTY, OK, Play, Server, ask, chunk, client_of, wire_to

Serve = Callable[..., Server]
LARGE = {"data": {"k": "x" * 32 * 1024 * 1024}}  # more than sockets take that nobody reads
REASON = b'{"kind":"Status","reason":"RequestEntityTooLarge"}'
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(REASON), REASON)


def server_tls(authority: Authority, folder: Path, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue_server(name, folder))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def secured(host: str, ca: Path) -> Configuration:
    configuration = Configuration()
    configuration.proxy = None
    configuration.host = host
    configuration.ssl_ca_cert = str(ca)
    return configuration


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.make()
    (tmp_path / "ca.pem").write_text(made.pem)
    return made


# -- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: keep-alive, Close\r\n",
        b"Connection: CLOSE ,x\r\n",
        b"Connection: close\r\nConnection: keep-alive\r\n",
    ],
)
def test_a_server_that_lists_close_is_not_asked_again_there(serve: Serve, fields: bytes) -> None:
    server = serve([[b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok" % fields], [OK]])
    subject = wire_to(server)
    assert [ask(subject).body, ask(subject).body] == [b"ok", b"ok"]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 1\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 2\r\n",
    ],
    ids=["two-lengths", "huge-length", "codings", "codings-listed", "compressed"],
)
def test_an_answer_that_cannot_be_read_is_an_error(serve: Serve, fields: bytes) -> None:
    server = serve([[b"HTTP/1.1 200 OK\r\n%s\r\nok" % fields]], hang_up=True)
    with pytest.raises(WireError) as caught:
        ask(wire_to(server))
    assert (caught.value.sent, caught.value.late) == (True, False)


def test_an_upgrade_nobody_asked_for_leaves_no_connection_behind(serve: Serve) -> None:
    server = serve([[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"], [OK]])
    subject = wire_to(server)
    assert [ask(subject).status, ask(subject).status] == [101, 200]
    assert len(server.asked) == 2


def test_a_redirection_is_no_success(serve: Serve) -> None:
    """Of a gateway that wants its own login; a deletion it answers has not happened."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://login.example.org/\r\nContent-Length: 0\r\n\r\n"
    client = client_of(serve([[moved] * 2]))
    with pytest.raises(KubernetesError) as caught:
        client.items(PODS, "a=b")
    assert caught.value.code == 302
    with pytest.raises(KubernetesError):
        client.delete(SECRETS, "a")


def test_a_wait_that_is_no_number_is_not_waited(serve: Serve) -> None:
    busy = "HTTP/1.1 429 Too Many\r\nRetry-After: ²\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    assert client_of(serve([[busy, EMPTY]])).items(PODS, "a=b") == []


# -- requests that are not taken --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_an_answer_before_the_end_of_the_request_is_heard(
    serve: Serve, authority: Authority, tmp_path: Path, encrypted: bool
) -> None:
    tls = server_tls(authority, tmp_path) if encrypted else None
    server = serve([[TOO_LARGE]], hang_up=True, hasty=True, tls=tls)
    host = f"http{'s' if encrypted else ''}://127.0.0.1:{server.port}"
    with pytest.raises(KubernetesError) as caught:
        KubernetesClient(secured(host, tmp_path / "ca.pem"), "n").create(SECRETS, LARGE)
    assert (caught.value.code, caught.value.reason) == (413, "RequestEntityTooLarge")


def test_a_request_that_was_not_taken_whole_was_not_done(serve: Serve) -> None:
    server = serve([[b""], [b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{"a": 1}']], hang_up=True, hasty=True)
    with pytest.raises(WireError) as caught:
        wire_to(server).exchange(wire.request("POST", "/", {}, bytes(32 * 1024 * 1024)), 5, 5)
    assert (caught.value.sent, caught.value.late) == (False, False)
    assert client_of(server).create(SECRETS, {}) == {"a": 1}


def test_a_request_that_is_not_read_in_time_was_not_done(serve: Serve) -> None:
    never = threading.Event()

    def wait(request: bytes) -> Iterator[bytes]:
        never.wait(10)
        yield b""

    server = serve([[wait]], hasty=True)
    with pytest.raises(WireError) as caught:
        wire_to(server).exchange(wire.request("POST", "/", {}, bytes(32 * 1024 * 1024)), 5, 0.2)
    never.set()
    assert (caught.value.sent, caught.value.late) == (False, True)


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_comes_drop_by_drop_is_left(serve: Serve, chunked: bool) -> None:
    gone = threading.Event()

    def drip(request: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        yield b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 100\r\n\r\n"
        for _ in range(100):
            gone.wait(0.05)
            yield chunk(b"x") if chunked else b"x"
        yield b"0\r\n\r\n" if chunked else b""

    server = serve([[drip]])
    with pytest.raises(WireError) as caught:
        ask(wire_to(server), seconds=0.2)
    gone.set()
    assert (caught.value.sent, caught.value.late) == (True, True)


# -- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 503 Away\r\n\r\n",
        TOO_LARGE,
    ],
)
@pytest.mark.parametrize("way", ["call", "watch", "exec"])
def test_no_failure_leaves_a_descriptor(serve: Serve, answer: bytes, way: str) -> None:
    server = serve([[answer]] * 8, hang_up=True)
    client = client_of(server)
    acts: dict[str, Callable[[], object]] = {
        "call": lambda: client.get(SECRETS, "a"),
        "watch": lambda: list(client.watch(PODS, "1", timeout_seconds=5, silence=5)),
        "exec": lambda: run_in_container(client, "p", "c", ["true"], timeout=5),
    }
    mine: set[str] = set()
    original = socket.create_connection

    def noting(address: tuple[str, int], timeout: float) -> socket.socket:
        sock = original(address, timeout)
        mine.add(os.readlink(f"/proc/self/fd/{sock.fileno()}"))
        return sock

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", noting)
        with pytest.raises((KubernetesError, ExecError)):
            acts[way]()
    still = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            still.add(os.readlink(f"/proc/self/fd/{name}"))
    assert mine
    assert not mine & still


def test_many_threads_share_few_connections(serve: Serve) -> None:
    """Connections beyond those that are kept are closed, none is lost: that would be a ResourceWarning."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = listener.getsockname()[1]
    made: list[Connection] = []

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                connection.sendall(OK)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    def dial(seconds: float) -> Connection:
        made.append(Connection(socket.create_connection(("127.0.0.1", port), seconds)))
        return made[-1]

    threading.Thread(target=accept, daemon=True).start()
    subject = Wire(dial, 8)
    with ThreadPoolExecutor(64) as pool:
        assert {found.body for found in pool.map(ask, [subject] * 2000, [20.0] * 2000)} == {b"ok"}
    del subject
    assert {one.fileno() for one in made} == {-1}
    listener.close()


def test_a_connection_is_probed_while_nothing_is_said(serve: Serve) -> None:
    server = serve([[OK]])
    connection = Dialer(secured(f"http://127.0.0.1:{server.port}", Path())).dial(5)
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    connection.close()


@pytest.mark.parametrize("host", ["https://h:99999", "https://h:port", "https://[::1", "ftp://h", "https://:443"])
def test_an_address_that_is_none_is_said_at_once(host: str) -> None:
    configuration = Configuration()
    configuration.proxy = None
    configuration.host = host
    with pytest.raises(ODError):
        Dialer(configuration)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nno.\n",
        b"HTTP/1.1 200",
        b"<html>",
    ],
    ids=["closes", "wants-a-password", "half", "no-http"],
)
def test_what_a_proxy_does_not_pass_on_was_not_sent(serve: Serve, answer: bytes) -> None:
    server = serve([[answer]] * 4, hang_up=True)
    configuration = secured("https://[2001:db8::1]:6443/k8s", Path())
    configuration.proxy = f"http://127.0.0.1:{server.port}"
    with pytest.raises(KubernetesError) as caught:
        KubernetesClient(configuration, "n", sleep=lambda seconds: None).create(SECRETS, {})
    assert (caught.value.code, caught.value.maybe_done) == (0, False)
    assert server.asked[0][0].startswith(b"CONNECT [2001:db8::1]:6443 HTTP/1.1\r\nHost: [2001:db8::1]:6443\r\n")


def test_a_proxy_whose_consent_tells_of_a_body_sends_none(serve: Serve) -> None:
    server = serve([[b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", EMPTY]])
    configuration = secured("http://kubernetes.example.org", Path())
    configuration.proxy = f"http://127.0.0.1:{server.port}"
    assert KubernetesClient(configuration, "n").items(PODS, "a=b") == []


# -- TLS -------------------------------------------------------------------------------------------------------------


def test_a_balancer_that_could_speak_more_is_told_to_speak_this(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    server = serve([[EMPTY]], tls=server_tls(authority, tmp_path))
    client = KubernetesClient(secured(f"https://127.0.0.1:{server.port}", tmp_path / "ca.pem"), "n")
    assert client.items(PODS, "a=b") == []
    assert server.alpn == ["http/1.1"]


def test_the_dot_behind_a_name_is_not_in_its_certificate(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    server = serve([[EMPTY]], tls=server_tls(authority, tmp_path))
    configuration = secured(f"https://127.0.0.1:{server.port}", tmp_path / "ca.pem")
    configuration.tls_server_name = "kubernetes.default.svc."
    assert KubernetesClient(configuration, "n").items(PODS, "a=b") == []


def test_a_server_that_comes_back_with_another_authority_is_known_by_its_new_file(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    first = serve([[EMPTY]], tls=server_tls(authority, tmp_path), hang_up=True)
    client = KubernetesClient(
        secured(f"https://127.0.0.1:{first.port}", tmp_path / "ca.pem"), "n", sleep=lambda seconds: None
    )
    assert client.items(PODS, "a=b") == []
    assert first.over.wait(5)
    first.close()
    other = Authority.make()
    again = serve([[EMPTY]] * 9, tls=server_tls(other, tmp_path), port=first.port)
    with pytest.raises(KubernetesError, match="CertVerification"):
        client.items(PODS, "a=b")
    (tmp_path / "new.pem").write_text(other.pem)
    (tmp_path / "new.pem").replace(tmp_path / "ca.pem")
    assert client.items(PODS, "a=b") == []
    assert len(again.asked) == 1


def test_a_connection_closed_twice_does_not_lose_the_session(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """The WebSocket library closes what the server has ended, and so does its user."""
    server = serve([[EMPTY]], tls=server_tls(authority, tmp_path))
    client = KubernetesClient(secured(f"https://127.0.0.1:{server.port}", tmp_path / "ca.pem"), "n")
    connection, head = client.open(client.url(PODS), {}, 5, doing="test")
    connection.body(head, float("inf"))
    context = client._dialer._tls.context()  # type: ignore[union-attr]
    assert isinstance(context, ResumingContext)
    connection.close()
    assert context.last_session is not None
    connection.close()
    assert context.last_session is not None


# -- commands --------------------------------------------------------------------------------------------------------


def frame(payload: bytes, opcode: int = 2, *, last: bool = True) -> bytes:
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
    return bytes([opcode | (0x80 if last else 0)]) + length + payload


SUCCESS = frame(b'\3{"status":"Success"}')
UPGRADED = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n"


def accepting(*pieces: bytes, fields: str = UPGRADED) -> Play:
    """Accept the WebSocket and send what follows, the first piece together with the head."""

    def play(request: bytes) -> Iterator[bytes]:
        key = next(line[19:] for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: "))
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
        accept = base64.b64encode(digest).decode()
        head = f"HTTP/1.1 101 Switching Protocols\r\n{fields}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        yield head + b"".join(pieces[:1])
        yield from pieces[1:]

    return play


def run(server: Server, timeout: float = 5.0) -> ExecResult:
    return run_in_container(client_of(server), "p", "c", ["true"], timeout=timeout)


@pytest.mark.parametrize("pieces", [None, 1])
def test_what_follows_the_head_at_once_is_output(serve: Serve, pieces: int | None) -> None:
    output = frame(b"\1" + b"o" * 300) + frame(b"\2e", last=False) + frame(b"rr", 9) + frame(b"rr", 0) + SUCCESS
    assert run(serve([[accepting(output)]], pieces)) == ExecResult(0, b"o" * 300, b"err")


def test_pings_give_a_command_no_more_time(serve: Serve) -> None:
    gone = threading.Event()

    def play(request: bytes) -> Iterator[bytes]:
        accept = accepting()
        assert callable(accept)
        yield from accept(request)
        for _ in range(100):
            gone.wait(0.05)
            yield frame(b"p", 9)
        yield SUCCESS

    server = serve([[play]])
    with pytest.raises(ExecError) as caught:
        run(server, timeout=0.4)
    gone.set()
    assert caught.value.status == 504


@pytest.mark.parametrize("lacking", ["Upgrade: WebSocket\r\n", "Connection: keep-alive, Upgrade\r\n"])
def test_an_upgrade_that_is_not_said_whole_is_none(serve: Serve, lacking: str) -> None:
    server = serve([[accepting(SUCCESS, fields=UPGRADED.replace(lacking, ""))]])
    with pytest.raises(KubernetesError) as caught:
        run(server)
    assert caught.value.code == 0


def test_a_close_or_an_end_without_exit_status_is_a_failure(serve: Serve) -> None:
    for last in (frame(struct.pack("!H", 1000), 8), b""):
        with pytest.raises(ExecError):
            run(serve([[accepting(frame(b"\1o"), last)]], hang_up=True))


def test_a_good_answer_that_is_no_upgrade_is_a_failure(serve: Serve) -> None:
    with pytest.raises(KubernetesError) as caught:
        run(serve([[OK]]))
    assert caught.value.code == 200


def test_a_command_whose_answer_is_lost_may_have_run(serve: Serve) -> None:
    with pytest.raises(KubernetesError) as caught:
        run(serve([[b""]], hang_up=True))
    assert (caught.value.code, caught.value.maybe_done) == (0, True)
