"""The Kubernetes API as plain calls: JSON dicts or msgspec structures in and out, typed errors, time-outs everywhere.

The official client gives configuration (in-cluster, kubeconfig) and credentials; its model classes are never used,
nor is its transport: see ``oc.od.orchestrator.wire``.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload
from urllib.parse import quote, urlencode

import msgspec
from kubernetes import config as kubernetes_config
from kubernetes.client import Configuration

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator import wire
from oc.od.orchestrator.credentials import Credentials
from oc.od.orchestrator.dialing import Dialer
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.resources import PODS, Resource
from oc.od.orchestrator.watchstream import WatchStream
from oc.od.orchestrator.wire import Answer, Connection, Head, Wire, WireError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Json = dict[str, Any]
Observer = Callable[[str, str, int, float], None]

HEADERS = {"User-Agent": "pyos/4.4", "Accept": "application/json", "Accept-Encoding": "identity"}
CALL_TIMEOUT = 10.0
CONNECT_TIMEOUT = 4.0
MAX_TRIES = 4
PAGE_SIZE = 250
KEPT_CONNECTIONS = 64

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

_METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "patch": "PATCH",
    "delete": "DELETE",
}
_NAMED = frozenset(("get", "patch", "delete"))
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_READS = frozenset(("get", "list", "watch"))
_DICT: msgspec.json.Decoder[Json] = msgspec.json.Decoder(dict[str, Any])


class _StatusDetails(msgspec.Struct):
    causes: list[dict[str, Any]] | None = None
    retry_after_seconds: float | None = msgspec.field(default=None, name="retryAfterSeconds")


class Status(msgspec.Struct):
    """The API's Status object (meta/v1), as far as it is used."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: _StatusDetails | None = None


def load_configuration() -> Configuration:
    """In-cluster configuration, else the kubeconfig of ``KUBECONFIG`` or ``~/.kube/config``.

    Raises ODError naming both causes when neither works.
    """
    configuration = Configuration()
    try:
        kubernetes_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except kubernetes_config.ConfigException as inside:
        try:
            kubernetes_config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (kubernetes_config.ConfigException, OSError, TypeError) as outside:
            raise ODError(
                f"no Kubernetes configuration: in-cluster: {inside}; kubeconfig: {outside}",
                doing="loading the Kubernetes configuration",
            ) from outside
    return configuration


class KubernetesClient:
    """One per process, thread-safe. ``observer(verb, resource, code, seconds)`` is called after every call."""

    def __init__(
        self,
        configuration: Configuration,
        namespace: str,
        *,
        observer: Observer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.configuration = configuration
        self.namespace = namespace
        self._dialer = Dialer(configuration)
        self._wire = Wire(self._dialer.dial, KEPT_CONNECTIONS)
        self._headers = {"Host": self._dialer.host, **HEADERS}
        self._observer = observer
        self._sleep = sleep
        self.credentials = Credentials(configuration)

    # -- calls -------------------------------------------------------------------------------------------------

    # ``decoder``: of the answer, where a part of it is enough. A pod is 35 kB of JSON; as dicts it takes ten times as
    # long to decode as the fields pyos knows.

    @overload
    def get(self, resource: Resource, name: str, *, deadline: Deadline | None = ...) -> Json: ...
    @overload
    def get(
        self, resource: Resource, name: str, *, deadline: Deadline | None = ..., decoder: msgspec.json.Decoder[T]
    ) -> T: ...
    def get(
        self,
        resource: Resource,
        name: str,
        *,
        deadline: Deadline | None = None,
        decoder: msgspec.json.Decoder[Any] = _DICT,
    ) -> Any:
        """Read one object. Raises KubernetesError (404 in ``code`` when absent)."""
        return decoder.decode(self.call("get", resource, name, deadline=deadline, repeat=True))

    def page(
        self,
        resource: Resource,
        label_selector: str,
        decoder: msgspec.json.Decoder[T],
        *,
        field_selector: str = "",
        limit: int | None = None,
        continue_: str = "",
        deadline: Deadline | None = None,
    ) -> T:
        """One page (all of it, without ``limit``) of a list, decoded by ``decoder``."""
        query = _query(
            labelSelector=label_selector, fieldSelector=field_selector, limit=limit, **{"continue": continue_}
        )
        raw = self.call("list", resource, query=query, deadline=deadline, repeat=True, timeout=3 * CALL_TIMEOUT)
        return decoder.decode(raw)

    def items(
        self, resource: Resource, label_selector: str, *, field_selector: str = "", deadline: Deadline | None = None
    ) -> list[Json]:
        """The objects a selector finds."""
        found = self.page(resource, label_selector, _DICT, field_selector=field_selector, deadline=deadline)
        return found.get("items") or []

    @overload
    def create(
        self, resource: Resource, body: Json, *, deadline: Deadline | None = ..., dry_run: bool = ...
    ) -> Json: ...
    @overload
    def create(
        self, resource: Resource, body: Json, *, deadline: Deadline | None = ..., decoder: msgspec.json.Decoder[T]
    ) -> T: ...
    def create(
        self,
        resource: Resource,
        body: Json,
        *,
        deadline: Deadline | None = None,
        dry_run: bool = False,
        decoder: msgspec.json.Decoder[Any] = _DICT,
    ) -> Any:
        """POST. Never repeated once it may have reached the API: look at ``maybe_done`` of the error."""
        query = _query(fieldValidation="Strict", dryRun="All" if dry_run else None)
        return decoder.decode(self.call("create", resource, query=query, body=body, deadline=deadline))

    @overload
    def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | list[Json],
        *,
        content_type: str = ...,
        repeat: bool = ...,
        deadline: Deadline | None = ...,
    ) -> Json: ...
    @overload
    def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | list[Json],
        *,
        subresource: str = ...,
        content_type: str = ...,
        repeat: bool = ...,
        deadline: Deadline | None = ...,
        decoder: msgspec.json.Decoder[T],
    ) -> T: ...
    def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | list[Json],
        *,
        subresource: str = "",
        content_type: str = MERGE_PATCH,
        repeat: bool = False,
        deadline: Deadline | None = None,
        decoder: msgspec.json.Decoder[Any] = _DICT,
    ) -> Any:
        """PATCH. ``repeat``: applying it twice gives the same object, so it may be sent again after a lost answer."""
        raw = self.call(
            "patch",
            resource,
            name,
            subresource,
            body=body,
            content_type=content_type,
            deadline=deadline,
            repeat=repeat,
        )
        return decoder.decode(raw)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
        grace: int | None = None,
        propagation: str | None = None,
        deadline: Deadline | None = None,
    ) -> bool:
        """DELETE; False when there was nothing (more) to delete: absent, or not that ``uid`` (and ``version``).

        Only with ``uid`` may it be repeated after a lost answer.
        """
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if propagation is not None:
            body["propagationPolicy"] = propagation
        if uid:
            body["preconditions"] = {"uid": uid} | ({"resourceVersion": version} if version else {})
        try:
            self.call("delete", resource, name, body=body, deadline=deadline, repeat=bool(uid))
        except KubernetesError as error:
            if error.code == 404 or (uid and error.code == 409):
                return False
            raise
        return True

    def log(
        self,
        pod: str,
        container: str,
        *,
        limit_bytes: int,
        tail_lines: int | None = None,
        deadline: Deadline | None = None,
    ) -> bytes:
        """Log of a container, at most ``limit_bytes``."""
        query = _query(container=container, limitBytes=limit_bytes, tailLines=tail_lines, pretty="true")
        return self.call("get", PODS, pod, "log", query=query, deadline=deadline, repeat=True)[:limit_bytes]

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int,
        silence: float,
    ) -> WatchStream:
        """Open a watch from ``resource_version``; breaks when nothing, not even a bookmark, comes in ``silence`` s."""
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=timeout_seconds,
        )
        doing = f"watch {resource.plural}"
        started = time.monotonic()
        connection, head = self.open(self.url(resource, query=query), {}, silence, doing=doing)
        self.observe("watch", resource.plural, head.status, started)
        if head.status != 200:
            raise refusal(connection, head, doing)
        return WatchStream(connection, head, doing)

    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the API server. Raises KubernetesError."""
        url = f"{self.configuration.host.rstrip('/')}/version"
        answer = self._send("get", url, None, "", CALL_TIMEOUT, doing="get version")
        if answer.status != 200:
            raise _error(answer.status, answer.fields, answer.body, "get version")
        found = _DICT.decode(answer.body)
        major, minor = ("".join(c for c in str(found.get(key, "")) if c.isdigit()) for key in ("major", "minor"))
        return int(major or 0), int(minor or 0)

    # -- the wire ----------------------------------------------------------------------------------------------

    def url(self, resource: Resource, name: str = "", subresource: str = "", query: str = "") -> str:
        """Full URL of a collection, an object or a subresource."""
        parts = [resource.root]
        if resource.namespaced:
            parts += ["namespaces", quote(self.namespace, safe="")]
        parts.append(resource.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        return self.configuration.host.rstrip("/") + "/".join(parts) + (f"?{query}" if query else "")

    def headers(self) -> dict[str, str]:
        """Headers with the current credentials."""
        return {**self._headers, **self.credentials.headers()}

    def open(self, url: str, fields: Mapping[str, str], silence: float, *, doing: str) -> tuple[Connection, Head]:
        """GET what is no call that is answered and over; the caller closes the connection.

        fields: more of the head. silence: seconds the server may be silent. Raises KubernetesError when nobody answers.
        """
        data = self._request("watch", url, fields, None)
        try:
            connection, head = self._wire.open(data, min(CONNECT_TIMEOUT, silence), silence)
        except WireError as error:
            raise _unanswered(error, doing, maybe_done=error.sent) from error
        self._note(head.status)
        return connection, head

    def call(
        self,
        verb: str,
        resource: Resource,
        name: str = "",
        subresource: str = "",
        *,
        query: str = "",
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        deadline: Deadline | None = None,
        timeout: float = CALL_TIMEOUT,
        repeat: bool = False,
    ) -> bytes:
        """Make one call, repeated where that is safe; returns the body of the answer.

        Raises KubernetesError; DeadlineExceededError when no time is left to begin with.
        """
        kind = f"{resource.plural}/{subresource}" if subresource else resource.plural
        doing = f"{verb} {kind} {name}".rstrip()
        if verb in _NAMED and not _NAME.fullmatch(name):
            # An empty name would turn a call on one object into a call on all of them.
            raise KubernetesError(404, "NotFound", "no object has such a name", doing=f"{verb} {kind}")
        url = self.url(resource, name, subresource, query)
        payload = None if body is None else msgspec.json.encode(body)
        for attempt in range(1, MAX_TRIES + 1):
            limit = deadline.cap(timeout) if deadline else timeout
            started = time.monotonic()
            try:
                answer = self._send(verb, url, payload, content_type, limit, doing=doing)
                self.observe(verb, kind, answer.status, started)
                if answer.status < 300:  # the API redirects nobody: that is somebody else, before it
                    return answer.body
                raise _error(answer.status, answer.fields, answer.body, doing)
            except KubernetesError as error:
                if error.code == 0:
                    self.observe(verb, kind, 0, started)
                pause = _pause(error, attempt, repeat)
                if pause is None or attempt == MAX_TRIES or (deadline and deadline.remaining() <= pause):
                    raise
                logger.info("%s; trying again in %.2f s", error, pause)
                self._sleep(pause)
        raise AssertionError("unreachable")

    def _send(
        self, verb: str, url: str, payload: bytes | None, content_type: str, timeout: float, *, doing: str
    ) -> Answer:
        data = self._request(verb, url, {} if payload is None else {"Content-Type": content_type}, payload)
        try:
            answer = self._wire.exchange(data, min(CONNECT_TIMEOUT, timeout), timeout)
        except WireError as error:
            raise _unanswered(error, doing, maybe_done=error.sent and verb not in _READS) from error
        self._note(answer.status)
        return answer

    def _request(self, verb: str, url: str, fields: Mapping[str, str], payload: bytes | None) -> bytes:
        target = url.removeprefix(self._dialer.origin)
        return wire.request(_METHODS[verb], target, {**self.headers(), **fields}, payload)

    def _note(self, status: int) -> None:
        if status == 401:
            self.credentials.refused()

    def observe(self, verb: str, kind: str, code: int, started: float) -> None:
        """Tell the observer of a call that began at monotonic second ``started``."""
        if self._observer:
            self._observer(verb, kind, code, time.monotonic() - started)


def _query(**parameters: str | int | None) -> str:
    return urlencode({key: value for key, value in parameters.items() if value not in (None, "")})


def _unanswered(error: WireError, doing: str, *, maybe_done: bool) -> KubernetesError:
    return KubernetesError(
        0, "Timeout" if error.late else "Unreachable", str(error), doing=doing, maybe_done=maybe_done
    )


def refusal(connection: Connection, head: Head, doing: str) -> KubernetesError:
    """What the API says instead of opening what was asked for; the connection is closed."""
    try:
        return _error(head.status, head.fields, connection.body(head, time.monotonic() + CALL_TIMEOUT), doing)
    except (OSError, WireError):
        return _error(head.status, head.fields, b"", doing)
    finally:
        connection.close()


def _error(code: int, fields: Mapping[str, str], body: bytes, doing: str) -> KubernetesError:
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        status = Status(message=body[:200].decode("utf-8", "replace"))
    details = status.details or _StatusDetails()
    return KubernetesError(
        code,
        status.reason or "Unknown",
        status.message,
        doing=doing,
        maybe_done=code >= 500,
        retry_after=_seconds(fields.get("retry-after")) or details.retry_after_seconds,
        causes=tuple(str(cause.get("field", "")) for cause in details.causes or ()),
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None


def _pause(error: KubernetesError, attempt: int, repeat: bool) -> float | None:
    """Seconds to wait before the same call may be sent again, or None when it may not.

    429 means the call was not looked at, and a refused connection that it was not heard: safe for every verb.
    """
    transient = error.code in (0, 500, 502, 503, 504)
    unheard = error.code == 429 or (error.code == 0 and not error.maybe_done)
    if not (unheard or (repeat and transient)):
        return None
    backoff = min(2.0, 0.1 * 2**attempt)
    return min(10.0, error.retry_after or 0.0) + random.uniform(backoff / 2, backoff)
