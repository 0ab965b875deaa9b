"""When pods came and became Ready, to the millisecond: the times in their status are whole seconds."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Self

import msgspec

from devstack.stack import Stack
from oc.od.orchestrator.podmodel import POD_CHANGE, POD_LIST, Pod

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
        self._version = ""
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
        """A watch that is cut goes on where it was. Lists are long: they would hold up whoever measures."""
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
            if not self._version:
                connection.request("GET", self._path, headers=self._headers)
                listed = POD_LIST.decode(connection.getresponse().read())
                for pod in listed.items:
                    self._take("ADDED", pod)
                self._version = listed.metadata.resource_version
            since = f"&watch=1&resourceVersion={self._version}&timeoutSeconds={_SECONDS}"
            connection.request("GET", self._path + since, headers=self._headers)
            answer = connection.getresponse()
            self._listening.set()
            while line := answer.readline():
                if not self._hear(line):
                    self._version = ""
                    return
        finally:
            connection.close()

    def _hear(self, line: bytes) -> bool:
        """Take a line of the watch; False for an error, which says that the version is too old."""
        try:
            event = POD_CHANGE.decode(line)
        except msgspec.ValidationError:  # what an error has in place of a pod
            return False
        if event.type == "ERROR":
            return False
        self._take(event.type, event.object)
        self._version = event.object.metadata.resource_version or self._version
        return True

    def _take(self, kind: str, pod: Pod) -> None:
        now, metadata = time.perf_counter(), pod.metadata
        if kind not in ("ADDED", "MODIFIED", "DELETED") or not metadata.uid:
            return
        seen = self.desktops.get(metadata.uid)
        if seen is None:
            userid = metadata.labels.get(USER_LABEL, "")
            seen = self.desktops[metadata.uid] = Seen(metadata.name, userid, now)
        if seen.ready is None and any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions):
            seen.ready = now
        if seen.ending is None and (kind == "DELETED" or pod.terminating):
            seen.ending = now
