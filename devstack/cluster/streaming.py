"""Subresources of pods that stream: log over HTTP, exec and attach over a WebSocket.

The channel protocols: a binary message begins with the channel's number (0 stdin, 1 stdout, 2 stderr, 3 final status,
4 resize as {"Width", "Height"}); in v5 channel 255 closes the channel whose number follows (stdin).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from devstack.cluster.calls import Api
from devstack.cluster.errors import (
    ApiError,
    FieldError,
    bad_request,
    forbidden_field,
    internal,
    invalid,
    invalid_object,
    not_found,
)
from devstack.cluster.objects import Object, encode
from devstack.cluster.options import Query, first, integer
from devstack.cluster.requestinfo import RequestInfo, flag
from devstack.cluster.runtime import LogOptions, PodRuntime, RuntimeRefusedError, Streams

# Newest first; base64.channel.k8s.io is not offered by any client in use.
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_WITH_STATUS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _STATUS, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_FRAME_LIMIT = 4 * 1024 * 1024
_STDIN_BUFFER = 1024 * 1024


async def answer(api: Api, request: web.BaseRequest, info: RequestInfo, query: Query) -> web.StreamResponse:
    """log, exec, attach or portforward of one pod."""
    pod = api.store.get("pods", info.namespace, info.name)
    if pod is None:
        raise not_found("pods", "", info.name)
    if info.subresource == "log":
        return await _log(api, request, pod, query)
    if info.subresource == "portforward":
        raise bad_request("Upgrade request required")
    return await _stream(api, request, pod, info.subresource, query)


def container_of(pod: Object, wanted: str, *, streaming: bool) -> str:
    """The container a request means.  Raises ApiError 400."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    regular = [container["name"] for container in spec["containers"]]
    others = [c["name"] for part in ("initContainers", "ephemeralContainers") for c in spec.get(part) or ()]
    if wanted:
        if wanted not in regular + others:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if len(regular) == 1:
        return str(regular[0])
    if default in regular and not streaming:
        return str(default)
    inits = [container["name"] for container in spec.get("initContainers") or ()]
    choice = f"[{' '.join(regular)}]"
    more = f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: {choice}{more}")


def _runtime(api: Api) -> PodRuntime:
    if api.runtime is None:
        raise internal("this cluster runs without a node")
    return api.runtime


# -- log -------------------------------------------------------------------------------------------------------------
def log_options(query: Query, name: str) -> LogOptions:
    """Raises ApiError 400 or 422."""
    wanted = LogOptions(
        follow=flag(query.get("follow", [])),
        previous=flag(query.get("previous", [])),
        timestamps=flag(query.get("timestamps", [])),
        since_seconds=integer(query, "sinceSeconds"),
        since_time=first(query, "sinceTime") or None,
        tail_lines=integer(query, "tailLines"),
        limit_bytes=integer(query, "limitBytes"),
        stream=first(query, "stream") or "All",
    )
    faults: list[FieldError] = []
    if wanted.tail_lines is not None and wanted.tail_lines < 0:
        faults.append(invalid("tailLines", wanted.tail_lines, "must be greater than or equal to 0"))
    if wanted.limit_bytes is not None and wanted.limit_bytes < 1:
        faults.append(invalid("limitBytes", wanted.limit_bytes, "must be greater than 0"))
    if wanted.since_seconds is not None and wanted.since_time:
        faults.append(forbidden_field("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif wanted.since_seconds is not None and wanted.since_seconds < 1:
        faults.append(invalid("sinceSeconds", wanted.since_seconds, "must be greater than 0"))
    if query.get("stream"):
        faults.append(forbidden_field("stream", "may not be specified"))
    if faults:
        raise invalid_object("PodLogOptions", "", name, faults)
    return wanted


async def _log(api: Api, request: web.BaseRequest, pod: Object, query: Query) -> web.StreamResponse:
    name = pod["metadata"]["name"]
    wanted = log_options(query, name)
    container = container_of(pod, first(query, "container"), streaming=False)
    if not pod["spec"].get("nodeName"):
        return web.Response(status=204)
    chunks = _runtime(api).log(pod, container, wanted)
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
    try:
        try:
            head = await anext(chunks, None)
        except RuntimeRefusedError as error:
            raise ApiError(
                error.status, "BadRequest" if error.status == 400 else "InternalError", error.message
            ) from error
        await response.prepare(request)
        if head:
            await response.write(head)
        if head is not None:
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
    except ConnectionError:
        pass
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
    return response


# -- exec and attach -------------------------------------------------------------------------------------------------
async def _stream(api: Api, request: web.BaseRequest, pod: Object, what: str, query: Query) -> web.StreamResponse:
    container = container_of(pod, first(query, "container"), streaming=True)
    if not pod["spec"].get("nodeName"):
        raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    runtime = _runtime(api)
    if "upgrade" not in request.headers.get("Connection", "").lower():
        raise bad_request("Upgrade request required")
    offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if part.strip()]
    protocol = next((name for name in offered if name in _PROTOCOLS), None)
    if offered and protocol is None:
        return web.Response(status=403)
    socket = web.WebSocketResponse(protocols=(protocol,) if protocol else (), max_msg_size=_FRAME_LIMIT, timeout=5)
    await socket.prepare(request)
    session = _Session(socket, protocol or "channel.k8s.io", query)
    if what == "exec":
        command = query.get("command", [])
        await session.run(lambda streams: runtime.exec(pod, container, command, streams), command)
    else:
        await session.run(lambda streams: runtime.attach(pod, container, streams), [])
    return socket


class _Session:
    """One WebSocket with its channels."""

    def __init__(self, socket: web.WebSocketResponse, protocol: str, query: Query) -> None:
        self._socket = socket
        self._protocol = protocol
        self._tty = flag(query.get("tty", []))
        self._stdin = asyncio.StreamReader(limit=_STDIN_BUFFER) if flag(query.get("stdin", [])) else None
        self.streams = Streams(
            self._stdin,
            self._sender(_STDOUT) if flag(query.get("stdout", [])) else None,
            self._sender(_STDERR) if flag(query.get("stderr", [])) and not self._tty else None,
            self._tty,
        )

    def _sender(self, channel: int) -> _Sender:
        return _Sender(self._socket, channel)

    async def run(self, start: Callable[[Streams], Awaitable[int]], command: list[str]) -> None:
        """Run to the end and tell the status."""
        await self._socket.send_bytes(bytes([_STDOUT]))
        task = asyncio.ensure_future(start(self.streams))
        reader = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait({task, reader}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                # The client is gone: so is the process.
                return
            with contextlib.suppress(ConnectionError):
                await self._socket.send_bytes(bytes([_STATUS]) + self._status(task, command))
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
                await self._socket.close()
        finally:
            for pending in (task, reader):
                pending.cancel()
            await asyncio.gather(task, reader, return_exceptions=True)

    def _status(self, task: asyncio.Future[int], command: list[str]) -> bytes:
        error = task.exception()
        if error is not None and not isinstance(error, RuntimeRefusedError):
            raise error
        if self._protocol not in _WITH_STATUS:
            return _plain_status(error, 0 if error else task.result(), command)
        return encode(_refusal(error.message) if error is not None else _exit_status(task.result()))

    async def _read(self) -> None:
        """Take what the client sends until it goes."""
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                break
            data = message.data if isinstance(message.data, bytes) else str(message.data).encode()
            if not data:
                continue
            channel, content = data[0], data[1:]
            if channel == _STDIN and self._stdin is not None:
                if content:
                    self._stdin.feed_data(content)
            elif channel == _CLOSE and self._protocol == _PROTOCOLS[0] and content[:1] == b"\0":
                if self._stdin is not None:
                    self._stdin.feed_eof()
            elif channel == _RESIZE:
                self._resize(content)
        if self._stdin is not None:
            self._stdin.feed_eof()

    def _resize(self, content: bytes) -> None:
        try:
            size = json.loads(content)
            width, height = int(size["Width"]), int(size["Height"])
        except (ValueError, KeyError, TypeError):
            return
        if 0 < width < 65536 and 0 < height < 65536:
            self.streams.resize.put_nowait((width, height))


class _Sender:
    """Sends bytes on one channel."""

    def __init__(self, socket: web.WebSocketResponse, channel: int) -> None:
        self._socket = socket
        self._prefix = bytes([channel])

    async def __call__(self, data: bytes) -> None:
        await self._socket.send_bytes(self._prefix + data)


def _exit_status(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: command terminated with exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _refusal(message: str) -> Object:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }


def _plain_status(error: RuntimeRefusedError | None, code: int, command: list[str]) -> bytes:
    """What the oldest protocol has for a status: a text, or nothing."""
    if error is not None:
        return error.message.encode()
    if code == 0:
        return b""
    shown = " ".join(command)
    text = f"command terminated with non-zero exit code: error executing command [{shown}], exit code {code}"
    return text.encode()
