"""The Kubernetes API as plain calls: JSON dicts or msgspec structures in and out, typed errors, time-outs everywhere.

The official client gives configuration (in-cluster, kubeconfig), credentials and the connection pool; its model
classes are never used.
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
import urllib3
from kubernetes import config as kubernetes_config
from kubernetes.client import ApiClient, Configuration
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import parse_url

from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator.credentials import Credentials
from oc.od.orchestrator.errors import KubernetesError
from oc.od.orchestrator.resources import PODS, Resource
from oc.od.orchestrator.tls import ExecTls
from oc.od.orchestrator.watchstream import WatchStream

logger = logging.getLogger(__name__)

T = TypeVar("T")
Json = dict[str, Any]
Observer = Callable[[str, str, int, float], None]

USER_AGENT = "pyos/4.4"
CALL_TIMEOUT = 10.0
CONNECT_TIMEOUT = 4.0
MAX_TRIES = 4
PAGE_SIZE = 250
POOL_SIZE = 64

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
_NEVER_SENT = (NewConnectionError, ConnectTimeoutError, NameResolutionError)


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
    configuration.connection_pool_maxsize = POOL_SIZE
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
        manager = ApiClient(configuration).rest_client.pool_manager
        # There is one server: a manager would look for its pool, and for proxies and redirects, at each call.
        self._pool = manager.connection_from_url(configuration.host)
        self._origin = len(parse_url(configuration.host)._replace(path=None, query=None, fragment=None).url)
        self._observer = observer
        self._sleep = sleep
        self.exec_tls = ExecTls(configuration)
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
        response = self._send("watch", self.url(resource, query=query), None, "", silence, stream=True, doing=doing)
        self.observe("watch", resource.plural, response.status, started)
        if response.status != 200:
            try:
                raise _error(response.status, response.headers, response.data, doing)
            finally:
                response.close()
        return WatchStream(response, doing)

    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the API server. Raises KubernetesError."""
        url = f"{self.configuration.host.rstrip('/')}/version"
        response = self._send("get", url, None, "", CALL_TIMEOUT, stream=False, doing="get version")
        if response.status != 200:
            raise _error(response.status, response.headers, response.data, "get version")
        found = _DICT.decode(response.data)
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
        return {"User-Agent": USER_AGENT, "Accept": "application/json", **self.credentials.headers()}

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
                response = self._send(verb, url, payload, content_type, limit, stream=False, doing=doing)
                self.observe(verb, kind, response.status, started)
                if response.status < 400:
                    return response.data
                raise _error(response.status, response.headers, response.data, doing)
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
        self, verb: str, url: str, payload: bytes | None, content_type: str, timeout: float, *, stream: bool, doing: str
    ) -> urllib3.BaseHTTPResponse:
        headers = self.headers()
        if payload is not None:
            headers["Content-Type"] = content_type
        try:
            response: urllib3.BaseHTTPResponse = self._pool.urlopen(
                _METHODS[verb],
                url[self._origin :],
                body=payload,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout),
                retries=False,
                redirect=False,
                preload_content=not stream,
            )
        except HTTPError as error:
            refused = isinstance(error, (NewConnectionError, NameResolutionError))
            late = isinstance(error, (ReadTimeoutError, ConnectTimeoutError)) and not refused
            reason = "Timeout" if late else "Unreachable"
            sent = not isinstance(error, _NEVER_SENT)
            raise KubernetesError(
                0, reason, type(error).__name__, doing=doing, maybe_done=sent and verb not in _READS
            ) from error
        if response.status == 401:
            self.credentials.refused()
        return response

    def observe(self, verb: str, kind: str, code: int, started: float) -> None:
        """Tell the observer of a call that began at monotonic second ``started``."""
        if self._observer:
            self._observer(verb, kind, code, time.monotonic() - started)


def _query(**parameters: str | int | None) -> str:
    return urlencode({key: value for key, value in parameters.items() if value not in (None, "")})


def _error(code: int, headers: Mapping[str, str], body: bytes, doing: str) -> KubernetesError:
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
        retry_after=_seconds(headers.get("Retry-After")) or details.retry_after_seconds,
        causes=tuple(str(cause.get("field", "")) for cause in details.causes or ()),
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


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
