"""What the API server asks of the node: logs, exec, attach, and how a pod is to (mis)behave.

The server calls a `PodRuntime`; the package `devstack.cluster.node` implements it.  Deletion is not a call: the node
follows the store's pods, sees `metadata.deletionTimestamp`, ends the processes and calls `store.remove`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from devstack.cluster.objects import Object
from devstack.cluster.store import Store


class RuntimeRefusedError(Exception):
    """The node cannot do it; the server answers with `status` and `message` (log), or an error on channel 3 (exec)."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True)
class LogOptions:
    """The query of a log request; times in seconds, `since_time` RFC 3339."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_seconds: int | None = None
    since_time: str | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str = "All"


@dataclass
class Streams:
    """The ends of an exec or attach that the node holds.

    `stdin`: bytes from the client until EOF (None: no stdin wanted).  `stdout`, `stderr`: coroutines that send bytes
    to the client; None when not wanted, and with a tty stderr is None.  `resize`: (width, height) in characters.
    """

    stdin: asyncio.StreamReader | None
    stdout: Callable[[bytes], Awaitable[None]] | None
    stderr: Callable[[bytes], Awaitable[None]] | None
    tty: bool = False
    resize: asyncio.Queue[tuple[int, int]] = field(default_factory=asyncio.Queue)


class PodRuntime(Protocol):
    """The node's side.  `pod` is the stored object (read-only); the container's name has been checked by the server."""

    def log(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of the log; an async generator.  RuntimeRefusedError before the first chunk becomes the answer."""

    async def exec(self, pod: Object, container: str, command: list[str], streams: Streams) -> int:
        """Run the command, return its exit status.  RuntimeRefusedError(message): it could not be started.

        Cancelled when the client goes away: end the process then.
        """

    async def attach(self, pod: Object, container: str, streams: Streams) -> int:
        """Join the container's main process; returns its exit status when it ends."""

    async def stop(self) -> None:
        """End every process and task."""


@dataclass(frozen=True)
class PodBehaviour:
    """How a pod is to behave, from a rule set through the admin endpoint; all fields at rest: like any other pod.

    `failure`: one of ErrImagePull, ImagePullBackOff, CreateContainerConfigError, OOMKilled, Evicted, NodeLost, Error,
    CrashLoopBackOff, or "" for none; `container` limits it to one container (ephemeral ones too).
    `start_after_s`: seconds before the first container starts, `ready_after_s`: seconds of running before it is ready.
    `after_s`: seconds of running before OOMKilled, Evicted, NodeLost, Error come.
    """

    unschedulable: bool = False
    ready_after_s: float = 0.0
    start_after_s: float = 0.0
    never_ready: bool = False
    failure: str = ""
    container: str = ""
    after_s: float = 0.0
    message: str = ""
    exit_code: int = 1


class BehaviourSource(Protocol):
    """Where the node asks; consult it when a pod (or an ephemeral container) is about to be scheduled or started."""

    def behaviour_of(self, pod: Object, container: str | None = None, image: str | None = None) -> PodBehaviour:
        """The first rule that fits, else PodBehaviour()."""


@dataclass
class NodeContext:
    """What `async def start_node(context: NodeContext) -> PodRuntime` in devstack.cluster.node is given.

    `options` is ClusterConfig.node_options, whose keys the node package defines.  `issue_token(namespace, service
    account, audiences, seconds, pod)` makes a token for projected volumes.  `ca_pem` is the text of kube-root-ca.crt.
    """

    store: Store
    behaviours: BehaviourSource
    state_dir: Path
    server_url: str
    ca_pem: str
    issue_token: Callable[[str, str, list[str], int, Object | None], str]
    options: dict[str, Any] = field(default_factory=dict)
