"""One container of a pod on its node: its state, its output, and the process behind it, real or not.

An idle container has no process: it "runs" until it is stopped. A command executed in it for real needs a place to run,
so it then gets a process that only waits, with namespaces and mounts like those of a real container.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from devstack.cluster.node import processes
from devstack.cluster.node.logs import LogBuffer
from devstack.cluster.node.processes import Command, IsolationError, Process
from devstack.cluster.node.status import ContainerState

MEMORY_CHECK_SECONDS = 0.1
PAGE_BYTES = 4096
MAX_MESSAGE_BYTES = 4096
MAX_PROCESSES = 4096


@dataclass(frozen=True)
class Ending:
    """How a container's process ended."""

    status: int
    reason: str
    message: str = ""


@dataclass
class Container:
    """A container; `on_exit(container, ending)` is called each time its process ends.

    `live` gets the exits of its processes that still run.
    """

    state: ContainerState
    on_exit: Callable[[Container, Ending], None]
    log: LogBuffer
    directory: Path
    live: set[asyncio.Future[int]] = field(default_factory=set)
    previous_log: LogBuffer | None = None
    process: Process | None = None
    command: Command | None = None
    environment: dict[str, str] = field(default_factory=dict)
    idle: bool = True
    retries: int = 0
    out_of_memory: bool = False
    timers: set[asyncio.TimerHandle] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _placing: asyncio.Lock | None = None

    @property
    def name(self) -> str:
        """The container's name."""
        return self.state.name

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""
        return self.state.running_since is not None

    @property
    def has_run(self) -> bool:
        """Whether it runs or has run, so that there is a log."""
        return self.is_running or self.state.terminated is not None or self.state.last is not None

    def new_id(self) -> str:
        """A fresh container id, as containerd makes them."""
        return f"containerd://{secrets.token_hex(32)}"

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call later, unless the container is dropped first."""
        handle: asyncio.TimerHandle | None = None

        def fire() -> None:
            if handle is not None:
                self.timers.discard(handle)
            call()

        handle = asyncio.get_running_loop().call_later(seconds, fire)
        self.timers.add(handle)

    def cancel_timers(self) -> None:
        """Nothing that was to happen later happens."""
        for handle in self.timers:
            handle.cancel()
        self.timers.clear()
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()

    def begin_log(self) -> None:
        """A new incarnation writes to a log of its own; the last one's is kept."""
        if self.state.restart_count:
            self.log.close()
            self.previous_log = self.log
            self.log = LogBuffer(self.log.limit)

    async def run(self, command: Command, memory_limit: int | None) -> None:
        """Start the real process. Raises processes.StartError and IsolationError."""
        self.idle = False
        self.command = command
        self.out_of_memory = False
        self.process = await self._start(command)
        if memory_limit is not None:
            self._spawn(self._watch_memory(self.process, memory_limit))

    async def _start(self, command: Command) -> Process:
        layer = Path(command.layer)
        layer.mkdir(parents=True, exist_ok=True)
        try:
            process = await processes.start(command, self.log.write, live=self.live)
        except BaseException:
            with contextlib.suppress(OSError):
                layer.rmdir()
            raise
        process.exited.add_done_callback(lambda exited: self._exited(process, exited.result()))
        return process

    def _exited(self, process: Process, status: int) -> None:
        if process is not self.process:
            return
        self.process = None
        self.log.close()
        shutil.rmtree(self.directory / "layer", ignore_errors=True)
        if self.out_of_memory:
            ending = Ending(137, "OOMKilled")
        else:
            ending = Ending(status, "Completed" if status == 0 else "Error", self._termination_message())
        self.on_exit(self, ending)

    def _termination_message(self) -> str:
        try:
            with (self.directory / "termination-log").open("rb") as file:
                return file.read(MAX_MESSAGE_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def end(self, ending: Ending) -> None:
        """End it with this result: at once when idle, by KILL when it has a process."""
        if not self.is_running:
            return
        if self.process is None:
            self.log.close()
            self.on_exit(self, ending)
            return
        if ending.reason == "OOMKilled":
            self.out_of_memory = True
        self.process.kill()

    def terminate(self) -> None:
        """Ask it to end. An idle one does so at once and well."""
        if self.process is None:
            self.end(Ending(0, "Completed"))
        elif self.idle:
            # A process that only waits stands for one that does not matter: it goes like the idle container it serves.
            process, self.process = self.process, None
            process.kill()
            shutil.rmtree(self.directory / "layer", ignore_errors=True)
            self.end(Ending(0, "Completed"))
        else:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self.end(Ending(137, "Error"))

    async def place(self, command: Callable[[], Command]) -> Process:
        """The process in whose namespaces a command can be executed; an idle container gets one now.

        `command` describes the waiting process. Raises IsolationError.
        """
        if self._placing is None:
            self._placing = asyncio.Lock()
        async with self._placing:
            if self.process is None:
                if not self.is_running:
                    raise IsolationError("the container has ended")
                process = await self._start(command())
                if not self.is_running:
                    process.kill()
                    raise IsolationError("the container has ended")
                self.process = process
            return self.process

    async def _watch_memory(self, process: Process, limit: int) -> None:
        while not process.exited.done():
            if _resident_bytes(process.pid) > limit:
                self.out_of_memory = True
                process.kill()
                return
            await asyncio.sleep(MEMORY_CHECK_SECONDS)

    def _spawn(self, coroutine: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)  # type: ignore[arg-type]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def _resident_bytes(pid: int) -> int:
    """Memory of a process and its descendants; 0 when it is gone."""
    total = 0
    waiting, seen = [pid], 0
    while waiting and seen < MAX_PROCESSES:
        current = waiting.pop()
        seen += 1
        try:
            total += int(Path(f"/proc/{current}/statm").read_text().split()[1]) * PAGE_BYTES
            waiting.extend(int(word) for word in Path(f"/proc/{current}/task/{current}/children").read_text().split())
        except (OSError, IndexError, ValueError):
            continue
    return total
