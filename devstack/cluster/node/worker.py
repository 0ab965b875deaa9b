"""The life of one pod on its node: from the first status to the last.

A worker runs tasks and timers only while something is to happen; a pod that just runs costs memory, no time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from devstack.cluster.node import misbehaving, restarting
from devstack.cluster.node.addresses import NoAddressError
from devstack.cluster.node.adopting import adopt
from devstack.cluster.node.container import Container, Ending
from devstack.cluster.node.host import Host
from devstack.cluster.node.logs import LogBuffer
from devstack.cluster.node.probing import Prober
from devstack.cluster.node.publishing import write_status
from devstack.cluster.node.starting import NotStartedError, Starter
from devstack.cluster.node.status import TERMINAL_PHASES, ContainerState, PodState, Role, phase_of
from devstack.cluster.node.volumes import MountError
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.runtime import PodBehaviour
from devstack.cluster.store import MissingError

log = logging.getLogger(__name__)

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class PodWorker:
    """Moves one pod through its phases; `on_end(worker)` is called when its containers have ended for good."""

    def __init__(self, host: Host, pod: Object, node: str, on_end: Callable[[PodWorker], None]) -> None:
        self.host = host
        self.pod = pod
        self.node = node
        self.starter = Starter(host, node)
        self.prober = Prober(self)
        self.uid: str = pod["metadata"]["uid"]
        self.state = PodState(
            start_time=timestamp(host.store.clock()),
            host_ip=host.options.host_ip,
            observed_generation=pod["metadata"].get("generation", 1),
        )
        self.containers: dict[str, Container] = {}
        self.ended = False
        self.lost = False
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._kill_timer: asyncio.TimerHandle | None = None
        self._started_main = False
        self._observing = False
        self._finishing = False
        self._init_done: asyncio.Event | None = None
        for role, field in (("init", "initContainers"), ("main", "containers"), ("ephemeral", "ephemeralContainers")):
            for spec in pod["spec"].get(field) or ():
                self._add(spec, role)  # type: ignore[arg-type]

    # -- from outside --------------------------------------------------------------------------------------------
    def adopt(self) -> None:
        """Before `start`: the pod runs already, its containers are idle ones."""
        adopt(self.state, self.pod["status"])
        self._started_main = True

    def start(self) -> None:
        """Begin."""
        self.spawn(self._bring_up())

    def update(self, pod: Object) -> None:
        """The stored pod has changed."""
        before, self.pod = self.pod, pod
        metadata = pod["metadata"]
        deletion = metadata.get("deletionTimestamp")
        if self.ended and deletion and not self.lost:
            self.remove_pod()
        if self.ended or self.lost or self._finishing:
            return
        if metadata.get("generation") != before["metadata"].get("generation"):
            self._take_spec(pod)
        grace = metadata.get("deletionGracePeriodSeconds")
        old = before["metadata"]
        if deletion and (deletion, grace) != (old.get("deletionTimestamp"), old.get("deletionGracePeriodSeconds")):
            self._terminate(float(grace or 0))

    def drop(self) -> None:
        """The pod is gone from the store: end everything at once."""
        self.ended = True
        self._stop_everything()
        for container in self.containers.values():
            container.kill()
        self._release()

    # -- helpers -------------------------------------------------------------------------------------------------
    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a task of this pod; it is cancelled with the pod."""
        task = asyncio.get_running_loop().create_task(self._guard(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except MissingError:
            pass  # deleted meanwhile: drop() follows
        except Exception:  # the edge of a task: one pod's failure must be seen and stay its own
            log.exception("pod %s/%s", self.pod["metadata"]["namespace"], self.pod["metadata"]["name"])

    def after(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call later, unless the pod ends first."""
        handle = asyncio.get_running_loop().call_later(seconds, call)
        self._timers.add(handle)
        return handle

    def behaviour(self, container: Container | None = None) -> PodBehaviour:
        """What the rules say about the pod, or about one container."""
        if container is None:
            return self.host.behaviours.behaviour_of(self.pod)
        behaviour = self.host.behaviours.behaviour_of(self.pod, container.name, container.state.spec.get("image"))
        return behaviour if behaviour.container in ("", container.name) else PodBehaviour()

    def of_role(self, role: Role) -> list[Container]:
        """The containers of a role, in the order of the spec."""
        return [container for container in self.containers.values() if container.state.role == role]

    def event(self, type_: str, reason: str, message: str) -> None:
        """An Event about the pod."""
        self.host.events.kubelet(self.pod, self.node, type_, reason, message)

    @property
    def restart_policy(self) -> str:
        """The pod's restart policy."""
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    @property
    def is_terminating(self) -> bool:
        """Whether the pod is being deleted or has failed as a whole."""
        return bool(self.pod["metadata"].get("deletionTimestamp")) or self.state.failure is not None

    def _add(self, spec: Object, role: Role) -> Container:
        state = ContainerState(spec, role)
        first = "PodInitializing" if role == "main" and self.pod["spec"].get("initContainers") else "ContainerCreating"
        state.waiting = {"reason": "PodInitializing" if role == "init" else first}
        directory = self.host.volumes.pod_directory(self.pod) / "containers" / state.name
        container = Container(state, self._exited, LogBuffer(self.host.options.log_bytes), directory, self.host.live)
        self.containers[state.name] = container
        self.state.containers[state.name] = state
        return container

    # -- publishing ----------------------------------------------------------------------------------------------
    def phase(self) -> str:
        """What the containers amount to now."""
        return phase_of(self.state, self.restart_policy)

    def publish(self, *, final: bool = False) -> None:
        """Write the status. A terminal phase is written only with `final`: when nothing runs any more."""
        if self.lost:
            return
        written = write_status(self.host, self.pod, self.state, final=final)
        if written is not None:
            self.pod = written

    # -- bringing up ---------------------------------------------------------------------------------------------
    async def _bring_up(self) -> None:
        if self.pod["metadata"].get("deletionTimestamp"):
            self._terminate(float(self.pod["metadata"].get("deletionGracePeriodSeconds") or 0))
            return
        if self._started_main:
            for container in self.of_role("ephemeral"):
                if not container.has_run:
                    self.spawn(self._start(container))
            return
        self.publish()
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            self.after(deadline, lambda: self.fail("DeadlineExceeded", DEADLINE_MESSAGE))
        await self._mount()
        seconds = self.host.options.delays.sandbox + self.behaviour().start_after_s
        if seconds:
            await asyncio.sleep(seconds)
        self.state.pod_ip = await self._take_address()
        self.state.sandbox_ready = True
        for container in self.of_role("ephemeral"):
            self.spawn(self._start(container))
        for container in self.of_role("init"):
            await self._initialize(container)
        await self._start_main()

    async def _mount(self) -> None:
        delay = self.host.options.delays.mount_retry
        while True:
            try:
                self.host.volumes.check(self.pod)
            except MountError as error:
                self.event("Warning", "FailedMount", str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, self.host.options.delays.retry_max)
            else:
                return

    async def _take_address(self) -> str:
        while True:
            try:
                return self.host.addresses.take()
            except NoAddressError as error:
                self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
                await asyncio.sleep(self.host.options.delays.mount_retry)

    async def _initialize(self, container: Container) -> None:
        """Run an init container until it has done its part; it may take several tries."""
        self._init_done = asyncio.Event()
        await self._start(container)
        if container.state.is_sidecar:
            while not container.state.is_complete:
                await self._init_done.wait()
                self._init_done.clear()
            return
        while not container.state.is_complete:
            await self._init_done.wait()
            self._init_done.clear()

    async def _start_main(self) -> None:
        self._started_main = True
        self._observing = bool(self.host.options.delays.observe)
        for container in self.of_role("main"):
            container.state.waiting = {"reason": "ContainerCreating"}
            await self._start(container, publish=False)
        if not self._observing:
            self.publish()
        else:
            self.after(self.host.options.delays.observe, self._observed)
        misbehaving.arm_pod(self)
        self._check_end()

    def _observed(self) -> None:
        self._observing = False
        if not self.ended and not self._finishing:
            self.publish()

    async def _start(self, container: Container, *, publish: bool = True) -> None:
        """One attempt; a container that has to wait is tried again later."""
        if self.ended or self.is_terminating or container.is_running:
            return
        behaviour = self.behaviour(container)
        target = self.containers.get(container.state.spec.get("targetContainerName", ""))
        if target is not None and target.idle and target.process is None:
            target = None
        try:
            await self.starter.start(self.pod, container, self.state.pod_ip, behaviour, target)
        except NotStartedError as error:
            self._wait_and_retry(container, error)
            return
        if container.is_running:
            self._running(container, behaviour)
        if publish and not self.ended:
            self.publish()

    def _running(self, container: Container, behaviour: PodBehaviour) -> None:
        container.state.started = True
        if container.state.role == "ephemeral":
            container.state.started = False
        elif not behaviour.never_ready:
            self.prober.watch(container, behaviour.ready_after_s)
        self.prober.after_start(container)
        if container.state.is_sidecar and self._init_done is not None:
            self._init_done.set()
        misbehaving.arm_container(container, behaviour)

    def _wait_and_retry(self, container: Container, error: NotStartedError) -> None:
        container.state.waiting = {"reason": error.reason, "message": error.message}
        self.publish()
        container.after(error.retry_seconds, lambda: self.spawn(self._start(container)))
        if error.reason == "ErrImagePull":
            container.after(self.host.options.delays.image_back_off_shown, lambda: self._back_off(container, error))

    def _back_off(self, container: Container, error: NotStartedError) -> None:
        if container.is_running or self.ended or self.is_terminating:
            return
        image = container.state.spec["image"]
        self.starter.event(self.pod, container, "Normal", "BackOff", f'Back-off pulling image "{image}"')
        self.starter.event(self.pod, container, "Warning", "Failed", "Error: ImagePullBackOff")
        message = f'Back-off pulling image "{image}": ErrImagePull: {error.message}'
        container.state.waiting = {"reason": "ImagePullBackOff", "message": message}
        self.publish()

    # -- ends and restarts ---------------------------------------------------------------------------------------
    def _exited(self, container: Container, ending: Ending) -> None:
        state = container.state
        container.cancel_timers()
        self.prober.forget(container)
        self.host.cgroups.remove(self.starter.cgroup_name(self.pod, container))
        now = timestamp(self.host.store.clock())
        state.terminated = {
            "exitCode": ending.status,
            "reason": ending.reason,
            **({"message": ending.message} if ending.message else {}),
            "startedAt": state.running_since or now,
            "finishedAt": now,
            "containerID": state.container_id,
        }
        started, state.running_since = state.running_since, None
        state.started = False
        state.ready = state.role == "init" and ending.status == 0 and not state.is_sidecar
        if self.ended:
            return
        if self.is_terminating:
            self._check_end()
            return
        if state.role == "ephemeral":
            self.publish()
            return
        if restarting.restarts(container, ending, self.restart_policy):
            self._restart(container, started or now)
        elif not self._observing and (state.role == "init" or self._started_main):
            self.publish()
        if self._init_done is not None:
            self._init_done.set()
        self._check_end()

    def _restart(self, container: Container, started: str) -> None:
        """At once the first time, then after a growing pause."""
        if not self._observing:
            self.publish()
        delay = restarting.next_delay(container, started, self.host)
        state = container.state
        state.last, state.terminated = state.terminated, None
        if not delay:
            state.waiting = {"reason": "ContainerCreating"}
            self.spawn(self._again(container))
            return
        event, message = restarting.back_off_texts(self.pod, container.name, delay)
        self.starter.event(self.pod, container, "Warning", "BackOff", event)
        state.waiting = {"reason": "CrashLoopBackOff", "message": message}
        self.publish()
        container.after(delay, lambda: self.spawn(self._again(container)))

    async def _again(self, container: Container) -> None:
        if self.ended or self.is_terminating:
            return
        container.state.restart_count += 1
        await self._start(container)

    def _check_end(self) -> None:
        """Finish the pod when all that matters has ended."""
        if self.ended or self._finishing:
            return
        if self.is_terminating:
            if not any(container.is_running for container in self.containers.values()):
                self._finishing = True
                self.spawn(self._finish())
        elif self._all_ended() and self.phase() in TERMINAL_PHASES:
            self._finishing = True
            self.spawn(self._finish())

    def _all_ended(self) -> bool:
        return not any(container.is_running for container in self.of_role("main"))

    async def _finish(self) -> None:
        """Write what the containers came to, end what is left (side cars, ephemeral ones), write the last phase."""
        self._observing = False
        deleted = bool(self.pod["metadata"].get("deletionTimestamp"))
        if not deleted and self.state.failure is None:
            self.publish()
            await asyncio.sleep(self.host.options.delays.finish)
        for container in self.containers.values():
            container.cancel_timers()
            container.kill()
        # After a KILL the end comes in a moment; the last status is to tell of it.
        while any(container.is_running for container in self.containers.values()):
            await asyncio.sleep(0.01)
        self.ended = True
        self.state.sandbox_ready = False
        self._stop_everything(but=asyncio.current_task())
        self.publish(final=True)
        self._release()
        if self.pod["metadata"].get("deletionTimestamp"):
            self.remove_pod()

    def remove_pod(self) -> None:
        """The last act of a deletion."""
        metadata = self.pod["metadata"]
        current = self.host.store.get("pods", metadata["namespace"], metadata["name"])
        if current is not None and current["metadata"]["uid"] == self.uid:
            self.host.store.remove("pods", metadata["namespace"], metadata["name"])

    def _release(self) -> None:
        if self.state.pod_ip:
            self.host.addresses.give_back(self.state.pod_ip)
        self.host.volumes.remove(self.pod)
        self._on_end(self)

    # -- deletion and failure ------------------------------------------------------------------------------------
    def fail(self, reason: str, message: str) -> None:
        """The pod as a whole has failed: everything ends."""
        if self.ended or self._finishing or self.lost:
            return
        if reason == "DeadlineExceeded":
            self.event("Normal", reason, message)
        self.state.failure = (reason, message)
        self._terminate(float(self.pod["spec"].get("terminationGracePeriodSeconds", 30)))

    def _terminate(self, grace: float) -> None:
        """TERM now, KILL after the grace (in seconds); called again, a shorter grace counts."""
        first = self._kill_timer is None
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._kill_timer = self.after(grace, self._kill_all)
        if not first:
            return
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        for container in self.containers.values():
            container.cancel_timers()
            self.prober.forget(container)
            if container.is_running:
                self.starter.event(self.pod, container, "Normal", "Killing", f"Stopping container {container.name}")
        self.spawn(self._stop_containers(grace))

    async def _stop_containers(self, grace: float) -> None:
        delay = self.host.options.delays.kill
        if delay:
            await asyncio.sleep(delay)
        await self.prober.before_stop(grace)
        for container in self.containers.values():
            container.terminate()
        self._check_end()

    def _kill_all(self) -> None:
        for container in self.containers.values():
            container.kill()
        self._check_end()

    def _stop_everything(self, but: asyncio.Task[Any] | None = None) -> None:
        for handle in self._timers:
            handle.cancel()
        self._timers.clear()
        for task in list(self._tasks):
            if task is not but:
                task.cancel()
        for container in self.containers.values():
            container.cancel_timers()
            self.prober.forget(container)

    # -- changes of the spec -------------------------------------------------------------------------------------
    def _take_spec(self, pod: Object) -> None:
        """New ephemeral containers are started; an image or resource changed in place is taken note of."""
        if self._finishing:
            return
        self.state.observed_generation = pod["metadata"].get("generation", 1)
        for field in ("initContainers", "containers"):
            for spec in pod["spec"].get(field) or ():
                if spec["name"] in self.containers:
                    self.containers[spec["name"]].state.spec = spec
        for spec in pod["spec"].get("ephemeralContainers") or ():
            if spec["name"] not in self.containers:
                container = self._add(spec, "ephemeral")
                if self.state.sandbox_ready and not pod["metadata"].get("deletionTimestamp"):
                    self.spawn(self._start(container))
        if not pod["metadata"].get("deletionTimestamp") and self.state.sandbox_ready:
            self.spawn(self._publish_later())

    async def _publish_later(self) -> None:
        self.publish()
