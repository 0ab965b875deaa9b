"""Readiness, liveness and start probes, hooks at start and stop (commands and sleeps).

Probes and start hooks really run only for containers with a real process. An idle container is ready when the initial
delay of its readiness probe has passed: ten thousand of them must not cost ten thousand timers.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from devstack.cluster.node.container import Container
from devstack.cluster.node.executing import ExecError, execute
from devstack.cluster.objects import Object
from devstack.cluster.runtime import RuntimeRefusedError

if TYPE_CHECKING:
    from devstack.cluster.node.worker import PodWorker

LOOPBACK = "127.0.0.1"
HTTP_LINE_BYTES = 4096


class Prober:
    """The probes of one pod."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker

    def watch(self, container: Container, ready_after_s: float) -> None:
        """The container has started: set it ready now, or when its probe (or `ready_after_s`) says so."""
        spec = container.state.spec
        probe = spec.get("readinessProbe")
        delay = ready_after_s or float((probe or {}).get("initialDelaySeconds", 0))
        if container.idle or (probe is None and spec.get("livenessProbe") is None and spec.get("startupProbe") is None):
            if delay:
                container.after(delay, lambda: self._set_ready(container, ready=True))
            else:
                container.state.ready = True
            return
        container.state.started = spec.get("startupProbe") is None
        container.state.ready = probe is None and container.state.started and not ready_after_s
        self._spawn(container, self._follow(container, ready_after_s))

    def after_start(self, container: Container) -> None:
        """Run the postStart hook of a real process; the container is killed when it fails."""
        hook = (container.state.spec.get("lifecycle") or {}).get("postStart")
        if hook and not container.idle:
            self._spawn(container, self._run_start_hook(container, hook))

    async def _run_start_hook(self, container: Container, hook: Object) -> None:
        why = await self._run_hook(container, hook)
        if why:
            message = f"PostStartHook failed: {why}"
            self._worker.starter.event(self._worker.pod, container, "Warning", "FailedPostStartHook", message)
            container.kill()

    def forget(self, container: Container) -> None:
        """The container has ended or is about to."""
        for task in container.tasks:
            task.cancel()

    async def before_stop(self, grace: float) -> None:
        """Run the preStop hooks, all within the grace time (seconds)."""
        hooks = []
        for container in self._worker.containers.values():
            hook = (container.state.spec.get("lifecycle") or {}).get("preStop")
            if hook and container.is_running:
                hooks.append(self._run_stop_hook(container, hook))
        if hooks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await asyncio.gather(*hooks)

    async def _run_stop_hook(self, container: Container, hook: Object) -> None:
        why = await self._run_hook(container, hook)
        if why:
            message = f"PreStopHook failed: {why}"
            self._worker.starter.event(self._worker.pod, container, "Warning", "FailedPreStopHook", message)

    async def _run_hook(self, container: Container, hook: Object) -> str:
        """Run a hook; why it failed, or nothing."""
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"].get("seconds", 0))
        elif "exec" in hook:
            try:
                status = await execute(self._worker, container, hook["exec"].get("command") or [], _ignore)
            except (ExecError, RuntimeRefusedError) as error:
                return str(error)
            if status != 0:
                return f"command exited with {status}"
        return ""

    def _spawn(self, container: Container, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        container.tasks.add(task)
        task.add_done_callback(container.tasks.discard)

    async def _follow(self, container: Container, ready_after_s: float) -> None:
        spec = container.state.spec
        start = spec.get("startupProbe")
        if start is not None:
            if not await self._until(container, start, wanted=True, threshold="successThreshold", give_up=True):
                self._restart(container, "Startup")
                return
            container.state.started = True
        if ready_after_s:
            await asyncio.sleep(ready_after_s)
        if spec.get("livenessProbe") is not None:
            self._spawn(container, self._watch_liveness(container, spec["livenessProbe"]))
        readiness = spec.get("readinessProbe")
        if readiness is None:
            self._set_ready(container, ready=True)
            return
        await asyncio.sleep(float(readiness.get("initialDelaySeconds", 0)))
        while True:
            await self._until(container, readiness, wanted=True, threshold="successThreshold")
            self._set_ready(container, ready=True)
            await self._until(container, readiness, wanted=False, threshold="failureThreshold")
            self._set_ready(container, ready=False)

    async def _watch_liveness(self, container: Container, probe: Object) -> None:
        await asyncio.sleep(float(probe.get("initialDelaySeconds", 0)))
        await self._until(container, probe, wanted=False, threshold="failureThreshold")
        self._restart(container, "Liveness")

    async def _until(
        self, container: Container, probe: Object, *, wanted: bool, threshold: str, give_up: bool = False
    ) -> bool:
        """Probe until the outcome is `wanted` often enough in a row; with `give_up` False after too many failures."""
        needed = int(probe.get(threshold, 1 if wanted else 3))
        allowed = int(probe.get("failureThreshold", 3))
        hits = misses = 0
        while True:
            good, why = await self._probe(container, probe)
            if good == wanted:
                hits += 1
                misses = 0
                if hits >= needed:
                    return True
            else:
                hits = 0
                misses += 1
            if not good and wanted:
                self._worker.starter.event(
                    self._worker.pod, container, "Warning", "Unhealthy", f"Readiness probe failed: {why}"
                )
            if give_up and misses >= allowed:
                return False
            await asyncio.sleep(float(probe.get("periodSeconds", 10)))

    async def _probe(self, container: Container, probe: Object) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(float(probe.get("timeoutSeconds", 1))):
                return await self._attempt(container, probe)
        except TimeoutError:
            return False, "timeout"
        except (ExecError, RuntimeRefusedError, OSError) as error:
            return False, str(error)

    async def _attempt(self, container: Container, probe: Object) -> tuple[bool, str]:
        if "exec" in probe:
            output = bytearray()
            argv = probe["exec"].get("command") or []
            status = await execute(self._worker, container, argv, lambda _, data: output.extend(data))
            return status == 0, output[:1024].decode("utf-8", "replace")
        action = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc") or {}
        port = _port(container.state.spec, action.get("port"))
        reader, writer = await asyncio.open_connection(action.get("host") or LOOPBACK, port)
        try:
            if "httpGet" not in probe:
                return True, ""
            path = action.get("path") or "/"
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}:{port}\r\nUser-Agent: kube-probe\r\n\r\n".encode())
            await writer.drain()
            words = (await reader.read(HTTP_LINE_BYTES)).split(b" ", 2)
            status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"
        finally:
            writer.close()

    def _set_ready(self, container: Container, *, ready: bool) -> None:
        if container.is_running and container.state.ready != ready:
            container.state.ready = ready
            self._worker.publish()

    def _restart(self, container: Container, which: str) -> None:
        self._worker.starter.event(
            self._worker.pod,
            container,
            "Normal",
            "Killing",
            f"Container {container.name} failed {which.lower()} probe, will be restarted",
        )
        container.kill()


def _port(spec: Object, port: Any) -> int:
    if isinstance(port, int):
        return port
    for entry in spec.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    return int(port)


def _ignore(stream: str, data: bytes) -> None:
    del stream, data
