"""Commands in containers: pods/exec over a WebSocket (Kubernetes channel protocols v4 and v5).

A binary message starts with its channel: 0 stdin, 1 stdout, 2 stderr, 3 the closing Status, 255 close (v5 only).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import websocket

from oc.model.deadline import Deadline
from oc.od.orchestrator.client import CONNECT_TIMEOUT, USER_AGENT, KubernetesClient, Status
from oc.od.orchestrator.errors import CommandNotStartedError, ExecError, KubernetesError
from oc.od.orchestrator.resources import PODS

logger = logging.getLogger(__name__)

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
DEFAULT_OUTPUT_LIMIT = 64 * 1024
_STDOUT, _STDERR, _ERROR = 1, 2, 3


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command left behind. ``truncated``: more output came than was kept."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False


def run_in_container(
    client: KubernetesClient,
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    timeout: float,
    deadline: Deadline | None = None,
    output_limit: int = DEFAULT_OUTPUT_LIMIT,
) -> ExecResult:
    """Run ``command`` (an argv, no shell) and wait for its end, at most ``timeout`` seconds.

    Raises CommandNotStartedError when the container cannot start it, ExecError when it does not end in time (it may
    still run then) or the connection breaks, KubernetesError when the API refuses. The command is never logged: its
    arguments may be private.
    """
    limit = deadline.cap(timeout) if deadline else timeout
    until = Deadline(limit)
    doing = f"exec {pod} {container}"
    started = time.monotonic()
    code = 0
    try:
        connection = _connect(client, pod, container, command, until, doing)
        code = 101
        try:
            return _collect(connection, until, output_limit, doing)
        finally:
            connection.close(timeout=0)
    except KubernetesError as error:
        code = error.code
        raise
    finally:
        client.observe("create", "pods/exec", code, started)


def _connect(
    client: KubernetesClient, pod: str, container: str, command: Sequence[str], until: Deadline, doing: str
) -> websocket.WebSocket:
    query = urlencode(
        [("container", container), ("stdout", "true"), ("stderr", "true"), *(("command", c) for c in command)]
    )
    url = "ws" + client.url(PODS, pod, "exec", query).removeprefix("http")
    headers = client.headers()
    headers["User-Agent"] = USER_AGENT
    try:
        connection = websocket.WebSocket(sslopt=client.exec_tls.options(), skip_utf8_validation=True)
    except OSError as error:  # a certificate file
        raise KubernetesError(0, "Unreachable", type(error).__name__, doing=doing) from error
    connection.settimeout(min(CONNECT_TIMEOUT, until.cap(CONNECT_TIMEOUT)))
    try:
        connection.connect(  # type: ignore[no-untyped-call]
            url, header=headers, subprotocols=list(PROTOCOLS), suppress_origin=True, **_proxy(client)
        )
    except websocket.WebSocketBadStatusException as error:
        if error.status_code == 401:
            client.credentials.refused()
        raise _refusal(error, doing) from error
    except (websocket.WebSocketException, OSError) as error:
        raise KubernetesError(0, "Unreachable", type(error).__name__, doing=doing, maybe_done=True) from error
    return connection


def _refusal(error: websocket.WebSocketBadStatusException, doing: str) -> KubernetesError:
    try:
        status = msgspec.json.decode(error.resp_body or b"{}", type=Status)
    except msgspec.MsgspecError:
        status = Status()
    return KubernetesError(error.status_code, status.reason or "Unknown", status.message, doing=doing)


def _proxy(client: KubernetesClient) -> dict[str, Any]:
    proxy = client.configuration.proxy
    if not proxy:
        return {"http_no_proxy": ["*"]}
    parts = urlsplit(proxy)
    return {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port, "proxy_type": "http"}


def _collect(connection: websocket.WebSocket, until: Deadline, output_limit: int, doing: str) -> ExecResult:
    output = {_STDOUT: bytearray(), _STDERR: bytearray()}
    truncated = False
    while True:
        left = until.remaining()
        if left <= 0:
            raise ExecError(status=504, doing=f"{doing}: no exit status in time")
        connection.settimeout(left)
        try:
            opcode, data = connection.recv_data()
        except websocket.WebSocketTimeoutException:
            continue
        except (websocket.WebSocketException, OSError) as error:
            raise ExecError(doing=f"{doing}: {type(error).__name__}") from error
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise ExecError(doing=f"{doing}: closed without an exit status")
        channel, payload = (data[0], data[1:]) if data else (255, b"")
        if channel in output:
            room = output_limit - len(output[channel])
            output[channel] += payload[: max(0, room)]
            truncated = truncated or len(payload) > room
        elif channel == _ERROR:
            code = exit_code(payload, doing)
            return ExecResult(code, bytes(output[_STDOUT]), bytes(output[_STDERR]), truncated)


def exit_code(payload: bytes, doing: str = "exec") -> int:
    """Exit code out of the Status on the error channel (apimachinery: reason NonZeroExitCode, cause ExitCode).

    Raises CommandNotStartedError when the command never ran, ExecError when the text says nothing.
    """
    try:
        status: dict[str, Any] = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ExecError(doing=f"{doing}: unreadable exit status") from error
    if status.get("status") == "Success":
        return 0
    if status.get("reason") == "NonZeroExitCode":
        for cause in (status.get("details") or {}).get("causes") or ():
            text = str(cause.get("message", ""))
            if cause.get("reason") == "ExitCode" and text.isdigit():
                return int(text)
    raise CommandNotStartedError(doing=f"{doing}: {str(status.get('message', 'no reason given'))[:200]}")
