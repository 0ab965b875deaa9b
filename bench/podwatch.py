"""When pods came and became Ready, to the millisecond: the times in their status are whole seconds."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

from devstack.stack import Stack

USER_LABEL = "access_userid"
_SECONDS = 3600


@dataclass
class Seen:
    """One desktop: times of ``time.perf_counter``."""

    name: str
    userid: str
    created: float
    ready: float | None = None
    ending: float | None = None


class PodWatch:
    """Follows the desktops of a stack in a thread of its own. Use in ``with``."""

    def __init__(self, stack: Stack) -> None:
        self.desktops: dict[str, Seen] = {}
        assert stack.server_url
        self._address = stack.server_url.partition("//")[2]
        self._context = ssl.create_default_context(cafile=str(stack.state / "kubeconfig.ca"))
        self._headers = {"Authorization": f"Bearer {stack.admin_token}"}
        self._path = f"/api/v1/namespaces/{stack.namespace}/pods?labelSelector=type%3Dx11server"
        self._thread = threading.Thread(target=self._follow, name="pod-watch", daemon=True)
        self._listening = threading.Event()
        self._connection: http.client.HTTPSConnection | None = None
        self._over = False

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(30):
            raise RuntimeError("the cluster answers no watch")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if self._connection is not None and self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        self._thread.join(10)

    def of(self, userid: str) -> list[Seen]:
        """Every desktop a user had, the oldest first."""
        return [seen for seen in list(self.desktops.values()) if seen.userid == userid]

    def is_doubled(self, userid: str) -> bool:
        """Whether a user ever had two desktops at once; one that is being deleted does not count."""
        own = self.of(userid)
        return any(first.ending is None or second.created < first.ending for first, second in pairwise(own))

    def _follow(self) -> None:
        """Once more from now on when the watch is cut: what was missed shows as a pod without a time."""
        while not self._over:
            try:
                self._watch()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    def _watch(self) -> None:
        connection = self._connection = http.client.HTTPSConnection(
            self._address, timeout=_SECONDS, context=self._context
        )
        try:
            connection.request("GET", self._path, headers=self._headers)
            listed = json.loads(connection.getresponse().read())
            for pod in listed["items"]:
                self._take("ADDED", pod)
            since = f"&watch=1&resourceVersion={listed['metadata']['resourceVersion']}&timeoutSeconds={_SECONDS}"
            connection.request("GET", self._path + since, headers=self._headers)
            answer = connection.getresponse()
            self._listening.set()
            while line := answer.readline():
                event = json.loads(line)
                self._take(event["type"], event["object"])
        finally:
            connection.close()

    def _take(self, kind: str, pod: dict[str, Any]) -> None:
        now, metadata = time.perf_counter(), pod.get("metadata", {})
        if kind not in ("ADDED", "MODIFIED", "DELETED") or "uid" not in metadata:
            return
        seen = self.desktops.get(metadata["uid"])
        if seen is None:
            userid = metadata.get("labels", {}).get(USER_LABEL, "")
            seen = self.desktops[metadata["uid"]] = Seen(metadata["name"], userid, now)
        conditions = pod.get("status", {}).get("conditions") or []
        if seen.ready is None and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            seen.ready = now
        if seen.ending is None and (kind == "DELETED" or metadata.get("deletionTimestamp")):
            seen.ending = now
