"""Real processes of containers: started through launcher.py, followed without threads or polling."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).with_name("launcher.py")
READ_BYTES = 64 * 1024
START_SECONDS = 20.0
# A process that does nothing but end at TERM, as one without a handler would; it also reaps what is left to it.
WAITING = ("/bin/sh", "-c", "trap 'exit 143' TERM; sleep infinity & wait")
END_SECONDS = 5.0
# What a container keeps of root's rights: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
# net_bind_service, sys_chroot, audit_write, setfcap. A devstack container has no use for raw sockets or device nodes.
CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31)


class StartError(Exception):
    """The command cannot be run; the text is what runc says."""


class IsolationError(Exception):
    """This machine does not let us make the namespaces a container needs."""


@dataclass(frozen=True)
class Command:
    """What is to be run. See launcher.py for the fields of the same names."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str = ""
    uid: int | None = None
    gid: int | None = None
    groups: Sequence[int] = ()
    layer: str = ""
    binds: Sequence[tuple[str, str, bool]] = ()
    hostname: str = ""
    share_pid: int = 0
    join: int = 0
    cgroups: Sequence[str] = ()
    no_new_privileges: bool = False
    tty: bool = False

    def as_spec(self, resize_fd: int) -> dict[str, Any]:
        """The launcher's JSON object."""
        return {
            "argv": list(self.argv),
            "env": dict(self.environment),
            "cwd": self.working_directory,
            "uid": self.uid,
            "gid": self.gid,
            "groups": list(self.groups),
            "layer": self.layer,
            "binds": [list(bind) for bind in self.binds],
            "hostname": self.hostname,
            "share_pid": self.share_pid,
            "join": self.join,
            "cgroups": list(self.cgroups),
            "no_new_privileges": self.no_new_privileges,
            "keep_capabilities": list(CAPABILITIES),
            "tty": self.tty,
            "resize_fd": resize_fd,
        }


@dataclass
class Process:
    """A running command: `pid` is the command's own (not the launcher's); `exited` gives its status."""

    launcher: subprocess.Popen[bytes]
    pid: int
    exited: asyncio.Future[int]
    stdin: int | None = None
    resize: int | None = None
    readers: dict[int, Callable[[], bool]] = field(default_factory=dict)

    def send_signal(self, number: int) -> None:
        """Signal the command; nothing when it has ended."""
        # The launcher reaps the command, so the number cannot belong to another process while the launcher runs.
        if self.launcher.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the command at once."""
        self.send_signal(signal.SIGKILL)

    def close_stdin(self) -> None:
        """End of the command's input."""
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None


async def start(
    command: Command,
    on_output: Callable[[str, bytes], None],
    *,
    stdin: bool = False,
    on_resize: bool = False,
    live: set[asyncio.Future[int]] | None = None,
) -> Process:
    """Start a command; `on_output(stream, data)` gets what it writes to "stdout" and "stderr".

    `live` holds the process's exit for as long as it runs, also when this call fails or is cancelled.
    Raises StartError when the command cannot be run, IsolationError when its surroundings cannot be made.
    """
    loop = asyncio.get_running_loop()
    report_read, report_write = os.pipe()
    resize_read, resize_write = os.pipe() if on_resize else (-1, -1)
    spec_fd = os.memfd_create("spec", 0)
    try:
        os.write(spec_fd, json.dumps(command.as_spec(resize_read)).encode())
        os.lseek(spec_fd, 0, os.SEEK_SET)
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(spec_fd), str(report_write)],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={},
            cwd="/",
            start_new_session=True,
            pass_fds=[fd for fd in (spec_fd, report_write, resize_read) if fd >= 0],
        )
    except OSError:
        os.close(report_read)
        if resize_write >= 0:
            os.close(resize_write)
        raise
    finally:
        for descriptor in (spec_fd, report_write, resize_read):
            if descriptor >= 0:
                os.close(descriptor)
    process = Process(launcher, 0, loop.create_future(), resize=resize_write if on_resize else None)
    if live is not None:
        live.add(process.exited)
        process.exited.add_done_callback(live.discard)
    _follow_output(loop, process, on_output)
    _follow_exit(loop, process)
    if stdin and launcher.stdin is not None:
        process.stdin = os.dup(launcher.stdin.fileno())
        launcher.stdin.close()
    try:
        async with asyncio.timeout(START_SECONDS):
            await _read_report(loop, report_read, process)
    except (TimeoutError, asyncio.CancelledError, StartError, IsolationError):
        launcher.kill()
        await asyncio.wait([process.exited], timeout=END_SECONDS)
        raise
    return process


async def isolation_problem(directory: Path) -> str | None:
    """Why real containers cannot run on this machine; None when they can. `directory` is used for a moment."""
    layer = directory / "isolation"
    layer.mkdir(parents=True, exist_ok=True)
    try:
        command = Command(argv=["true"], environment={"PATH": os.defpath}, layer=str(layer))
        process = await start(command, lambda stream, data: None)
        status = await process.exited
    except (StartError, IsolationError, TimeoutError, OSError) as error:
        return str(error)
    finally:
        with contextlib.suppress(OSError):
            layer.rmdir()
    return None if status == 0 else f"a command ended with {status}"


async def _read_report(loop: asyncio.AbstractEventLoop, descriptor: int, process: Process) -> None:
    done: asyncio.Future[bytes] = loop.create_future()
    received = bytearray()
    os.set_blocking(descriptor, False)

    def read() -> None:
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        received.extend(data)
        if not data and not done.done():
            done.set_result(bytes(received))

    loop.add_reader(descriptor, read)
    try:
        answer = await done
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    for line in answer.splitlines():
        message = json.loads(line)
        if "pid" in message:
            process.pid = message["pid"]
        elif message["kind"] == "exec":
            raise StartError(message["error"])
        else:
            raise IsolationError(message["error"])
    if not process.pid:
        raise IsolationError("the launcher ended without a word")


def _follow_output(loop: asyncio.AbstractEventLoop, process: Process, on_output: Callable[[str, bytes], None]) -> None:
    for name, pipe in (("stderr", process.launcher.stderr), ("stdout", process.launcher.stdout)):
        assert pipe is not None
        descriptor = os.dup(pipe.fileno())
        pipe.close()
        os.set_blocking(descriptor, False)
        read = functools.partial(_read_output, loop, process, descriptor, name, on_output)
        process.readers[descriptor] = read
        loop.add_reader(descriptor, read)


def _read_output(
    loop: asyncio.AbstractEventLoop,
    process: Process,
    descriptor: int,
    name: str,
    on_output: Callable[[str, bytes], None],
) -> bool:
    """Pass on what there is; False when there is no more (now, or ever)."""
    try:
        data = os.read(descriptor, READ_BYTES)
    except BlockingIOError:
        return False
    if data:
        on_output(name, data)
        return True
    loop.remove_reader(descriptor)
    process.readers.pop(descriptor, None)
    os.close(descriptor)
    return False


def _follow_exit(loop: asyncio.AbstractEventLoop, process: Process) -> None:
    pidfd = os.pidfd_open(process.launcher.pid)

    def ended() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        status = process.launcher.wait()
        # What the command wrote before its end belongs before the news of its end.
        for descriptor, read in list(process.readers.items()):
            while read():
                pass
            if process.readers.pop(descriptor, None) is not None:
                # A child the command left behind still holds the other end.
                loop.remove_reader(descriptor)
                os.close(descriptor)
        process.close_stdin()
        if process.resize is not None:
            os.close(process.resize)
            process.resize = None
        if not process.exited.done():
            process.exited.set_result(status if status >= 0 else 128 - status)

    loop.add_reader(pidfd, ended)


async def write_all(process: Process, data: bytes) -> bool:
    """Write to the command's input; False when it no longer reads."""
    loop = asyncio.get_running_loop()
    while data:
        descriptor = process.stdin
        if descriptor is None:
            return False
        os.set_blocking(descriptor, False)
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            writable: asyncio.Future[None] = loop.create_future()
            loop.add_writer(descriptor, _set, writable)
            try:
                await writable
            finally:
                loop.remove_writer(descriptor)
        except OSError:
            return False
    return True


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def resize(process: Process, width: int, height: int) -> None:
    """Set the size of the command's terminal, in characters. Raises OSError when it is gone."""
    if process.resize is not None:
        os.write(process.resize, f"{width} {height}\n".encode())
