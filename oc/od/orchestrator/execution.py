"""Commands in containers: pods/exec over a WebSocket (Kubernetes channel protocols v4 and v5).

A binary message starts with its channel: 0 stdin, 1 stdout, 2 stderr, 3 the closing Status, 255 close (v5 only).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
import websocket

from oc.model.deadline import Deadline
from oc.od.orchestrator.client import CONNECT_TIMEOUT, KubernetesClient, refusal
from oc.od.orchestrator.errors import CommandNotStartedError, ExecError, KubernetesError
from oc.od.orchestrator.resources import PODS
from oc.od.orchestrator.wire import Connection

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
DEFAULT_OUTPUT_LIMIT = 64 * 1024
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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
        frames = websocket.WebSocket(skip_utf8_validation=True)
        frames.sock, frames.connected = cast(socket.socket, connection), True
        try:
            return _collect(frames, until, output_limit, doing)
        finally:
            with contextlib.suppress(websocket.WebSocketException, OSError):
                frames.send_close()  # without it the API holds its side for seconds
            connection.close()
    except KubernetesError as error:
        code = error.code
        raise
    finally:
        client.observe("create", "pods/exec", code, started)


def _connect(
    client: KubernetesClient, pod: str, container: str, command: Sequence[str], until: Deadline, doing: str
) -> Connection:
    """Have the API open a WebSocket (RFC 6455 4.1)."""
    query = urlencode(
        [("container", container), ("stdout", "true"), ("stderr", "true"), *(("command", c) for c in command)]
    )
    key = base64.b64encode(os.urandom(16)).decode()
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": ",".join(PROTOCOLS),
    }
    seconds = until.cap(CONNECT_TIMEOUT)
    connection, head = client.open(client.url(PODS, pod, "exec", query), fields, seconds, doing=doing)
    if head.status != 101:
        raise refusal(connection, head, doing)
    accepted = base64.b64encode(hashlib.sha1(f"{key}{_WEBSOCKET}".encode(), usedforsecurity=False).digest()).decode()
    if (
        head.fields.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in head.fields.get("connection", "").lower()
        or head.fields.get("sec-websocket-accept") != accepted
        or head.fields.get("sec-websocket-protocol") not in PROTOCOLS
    ):
        connection.close()
        raise KubernetesError(0, "Unreachable", "no WebSocket of ours", doing=doing, maybe_done=True)
    return connection


def _collect(frames: websocket.WebSocket, until: Deadline, output_limit: int, doing: str) -> ExecResult:
    output = {_STDOUT: bytearray(), _STDERR: bytearray()}
    truncated = False
    while True:
        left = until.remaining()
        if left <= 0:
            raise ExecError(status=504, doing=f"{doing}: no exit status in time")
        frames.settimeout(left)
        try:
            opcode, data = frames.recv_data(control_frame=True)
        except websocket.WebSocketTimeoutException:
            continue
        except (websocket.WebSocketException, OSError) as error:
            raise ExecError(doing=f"{doing}: {type(error).__name__}") from error
        if opcode in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG):
            continue  # was answered; the time left is less now
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
