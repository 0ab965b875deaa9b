"""Commands executed in a running container: by the table of answers, or for real."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from devstack.cluster.node import processes
from devstack.cluster.node.container import Container
from devstack.cluster.node.host import Host
from devstack.cluster.node.processes import Command, IsolationError, StartError
from devstack.cluster.node.starting import Starter
from devstack.cluster.node.volumes import MountError
from devstack.cluster.objects import Object
from devstack.cluster.runtime import RuntimeRefusedError, Streams

INPUT_BYTES = 64 * 1024
QUEUED_CHUNKS = 64
RUNC_EXEC = "OCI runtime exec failed: exec failed: "

Output = Callable[[str, bytes], None]


class ExecError(Exception):
    """The command could not be started; the text is what the container runtime says."""


class Place(Protocol):
    """A pod's worker, as far as it is needed here."""

    host: Host
    pod: Object
    starter: Starter


async def execute(place: Place, container: Container, argv: list[str], on_output: Output) -> int:
    """Run a command without input and give its exit status. Raises ExecError."""
    answer = await _answer(place, container, argv, on_output)
    if answer is not None:
        return answer
    process = await _start(place, container, argv, on_output, stdin=False, tty=False)
    return await _wait(process)


async def execute_streams(place: Place, container: Container, argv: list[str], streams: Streams) -> int:
    """Run a command with the streams of a client. Raises RuntimeRefusedError; cancelled, it ends the command."""
    queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()

    def put(stream: str, data: bytes) -> None:
        queue.put_nowait((stream, data))

    sender = asyncio.create_task(_send(queue, streams))
    try:
        answer = await _answer(place, container, argv, put)
        if answer is None:
            process = await _start(
                place, container, argv, put, stdin=streams.stdin is not None, tty=streams.tty, resize=streams.tty
            )
            feeder = asyncio.create_task(_feed(process, streams))
            try:
                answer = await _wait(process)
            finally:
                feeder.cancel()
        queue.put_nowait(None)
        await sender
        return answer
    except ExecError as error:
        raise RuntimeRefusedError(str(error), 500) from error
    finally:
        sender.cancel()


async def _answer(place: Place, container: Container, argv: list[str], on_output: Output) -> int | None:
    """What the table says, None when it says nothing."""
    if not container.is_running:
        raise RuntimeRefusedError(f'unable to upgrade connection: container not found ("{container.name}")', 500)
    if not argv:
        raise RuntimeRefusedError(_failure(container, "args must not be empty"), 500)
    image = container.state.spec.get("image", "")
    rule = place.host.options.exec_rule(image, container.name, argv, idle=container.idle)
    if rule is None or rule.real:
        return None
    if rule.when_ready and not container.state.ready:
        return 1
    if rule.delay_s:
        await asyncio.sleep(rule.delay_s)
    for stream, text in (("stdout", rule.output), ("stderr", rule.error)):
        if text:
            on_output(stream, text.encode())
    return rule.status


async def _start(
    place: Place,
    container: Container,
    argv: list[str],
    on_output: Output,
    *,
    stdin: bool,
    tty: bool,
    resize: bool = False,
) -> processes.Process:
    starter, pod = place.starter, place.pod
    try:
        main = await container.place(lambda: starter.command(pod, container, processes.WAITING, None))
        like = container.command or starter.command(pod, container, processes.WAITING, None)
        environment = dict(container.environment)
        if tty:
            environment.setdefault("TERM", "xterm")
        command = Command(
            argv=argv,
            environment=environment,
            working_directory=like.working_directory,
            uid=like.uid,
            gid=like.gid,
            groups=like.groups,
            join=main.pid,
            cgroups=like.cgroups,
            no_new_privileges=like.no_new_privileges,
            tty=tty,
        )
        return await processes.start(command, on_output, stdin=stdin, on_resize=resize, live=place.host.live)
    except StartError as error:
        # Of the command, or of the waiting process: a pod may hide the shell under a volume.
        raise ExecError(_failure(container, f"unable to start container process: {error}")) from error
    except (IsolationError, MountError, TimeoutError, OSError) as error:
        raise ExecError(_failure(container, f"the node cannot isolate processes: {error}")) from error


def _failure(container: Container, text: str) -> str:
    exec_id = container.new_id().removeprefix("containerd://")
    return (
        "Internal error occurred: error executing command in container: failed to exec in container: "
        f'failed to start exec "{exec_id}": {RUNC_EXEC}{text}: unknown'
    )


async def _wait(process: processes.Process) -> int:
    try:
        return await asyncio.shield(process.exited)
    except asyncio.CancelledError:
        process.kill()
        await asyncio.wait([process.exited], timeout=processes.END_SECONDS)
        raise


async def _send(queue: asyncio.Queue[tuple[str, bytes] | None], streams: Streams) -> None:
    while (entry := await queue.get()) is not None:
        sink = streams.stdout if entry[0] == "stdout" else streams.stderr
        if sink is not None:
            await sink(entry[1])


async def _feed(process: processes.Process, streams: Streams) -> None:
    """The client's input and window sizes, to the command."""
    async with asyncio.TaskGroup() as group:
        if streams.stdin is not None:
            group.create_task(_feed_input(process, streams.stdin))
        if process.resize is not None:
            group.create_task(_feed_sizes(process, streams.resize))


async def _feed_input(process: processes.Process, source: asyncio.StreamReader) -> None:
    while data := await source.read(INPUT_BYTES):
        if process.stdin is None or not await processes.write_all(process, data):
            return
    process.close_stdin()


async def _feed_sizes(process: processes.Process, sizes: asyncio.Queue[tuple[int, int]]) -> None:
    while True:
        width, height = await sizes.get()
        with contextlib.suppress(OSError):
            processes.resize(process, width, height)
