"""Starting one container: image, configuration, process. What goes wrong becomes its state and an Event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.cluster.node.container import Container, Ending
from devstack.cluster.node.environment import ConfigError, build_environment, expand
from devstack.cluster.node.host import Host
from devstack.cluster.node.images import ImageName, InvalidImageNameError, parse_image
from devstack.cluster.node.options import ImageRule
from devstack.cluster.node.processes import Command, IsolationError, StartError
from devstack.cluster.node.status import EPOCH
from devstack.cluster.node.volumes import MountError
from devstack.cluster.objects import Object, timestamp
from devstack.cluster.quantity import value_of
from devstack.cluster.runtime import PodBehaviour

PULL_FAILURES = ("ErrImagePull", "ImagePullBackOff")
RUNC_START = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)


class NotStartedError(Exception):
    """The container waits: `reason` and `message` are its state; it is tried again after `retry_seconds`."""

    def __init__(self, reason: str, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_seconds = retry_seconds


@dataclass
class Starter:
    """Starts containers of one pod. `address` and `volumes` are the pod's, `share` finds another container of it."""

    host: Host
    node: str

    def event(self, pod: Object, container: Container, type_: str, reason: str, message: str) -> None:
        """An Event about a container."""
        self.host.events.kubelet(pod, self.node, type_, reason, message, field_path(pod, container))

    async def start(
        self, pod: Object, container: Container, address: str, behaviour: PodBehaviour, target: Container | None
    ) -> None:
        """Bring it to running, or to an end at once (StartError). Raises NotStartedError when it has to wait."""
        rule = self.host.options.image_rule(container.state.spec["image"])
        image = await self._pull(pod, container, rule, behaviour)
        try:
            if behaviour.failure == "CreateContainerConfigError":
                raise ConfigError(behaviour.message or 'secret "none" not found')
            status = {"status.podIP": address, "status.podIPs": address, "status.hostIP": self.host.options.host_ip}
            container.environment = build_environment(pod, container.state.spec, status, self.host.store.get)
        except ConfigError as error:
            self.event(pod, container, "Warning", "Failed", f"Error: {error}")
            retry = self.host.options.delays.mount_retry * 2
            raise NotStartedError("CreateContainerConfigError", str(error), retry) from error
        container.begin_log()
        state = container.state
        state.container_id = container.new_id()
        state.image = rule.name or image.reference
        state.image_id = parse_image(rule.name).image_id if rule.name else image.image_id
        self.event(pod, container, "Normal", "Created", f"Created container: {container.name}")
        await self._run(pod, container, rule, target)

    async def _run(self, pod: Object, container: Container, rule: ImageRule, target: Container | None) -> None:
        state = container.state
        argv = self._words(container, rule)
        if argv:
            try:
                command = self.command(pod, container, argv, target)
                await container.run(command, _memory_limit(state.spec))
            except (StartError, IsolationError, MountError, OSError) as error:
                text = str(error) if isinstance(error, StartError) else f"the node cannot isolate processes: {error}"
                self._failed_to_start(pod, container, RUNC_START + text + ": unknown")
                return
        else:
            container.idle = True
        state.waiting = state.terminated = None
        state.running_since = timestamp(self.host.store.clock())
        self.event(pod, container, "Normal", "Started", f"Started container {container.name}")
        if not argv:
            _schedule_idle_end(container, rule)

    def _failed_to_start(self, pod: Object, container: Container, message: str) -> None:
        self.event(pod, container, "Warning", "Failed", f"Error: {message}")
        state = container.state
        state.waiting = None
        now = timestamp(self.host.store.clock())
        state.running_since = EPOCH
        container.log.close()
        container.on_exit(container, Ending(128, "StartError", message))
        if state.terminated is not None:
            state.terminated |= {"startedAt": EPOCH, "finishedAt": now}

    def _words(self, container: Container, rule: ImageRule) -> list[str]:
        if isinstance(rule.run, list):
            return list(rule.run)
        if rule.run != "command":
            return []
        spec = container.state.spec
        words = [*(spec.get("command") or ()), *(spec.get("args") or ())]
        return [expand(word, container.environment) for word in words]

    def command(self, pod: Object, container: Container, argv: Sequence[str], target: Container | None) -> Command:
        """The process of a container as the launcher wants it. Raises MountError."""
        if self.host.options.isolation == "none":
            raise IsolationError("switched off by the option `isolation`")
        spec = container.state.spec
        security = {**(pod["spec"].get("securityContext") or {}), **(spec.get("securityContext") or {})}
        uid = security.get("runAsUser")
        groups = {*security.get("supplementalGroups", ()), *([security["fsGroup"]] if "fsGroup" in security else ())}
        layer = container.directory / "layer"
        cgroups = self.host.cgroups.make(self.cgroup_name(pod, container))
        shared = target.process.pid if target is not None and target.process is not None and cgroups else 0
        return Command(
            argv=argv,
            environment=container.environment,
            working_directory=spec.get("workingDir", ""),
            uid=uid,
            gid=security.get("runAsGroup", 0 if uid is not None else None),
            groups=sorted(groups),
            layer=str(layer),
            binds=self._binds(pod, container),
            hostname=pod["spec"].get("hostname") or pod["metadata"]["name"],
            share_pid=shared,
            cgroups=cgroups,
            no_new_privileges=security.get("allowPrivilegeEscalation") is False,
        )

    def cgroup_name(self, pod: Object, container: Container) -> str:
        """The control group of a container."""
        return f"{pod['metadata']['uid']}-{container.name}"

    def _binds(self, pod: Object, container: Container) -> list[tuple[str, str, bool]]:
        spec = container.state.spec
        directories = self.host.volumes.make(pod)
        binds: list[tuple[str, str, bool]] = []
        container.directory.mkdir(parents=True, exist_ok=True)
        message = container.directory / "termination-log"
        message.write_bytes(b"")
        binds.append((str(message), spec.get("terminationMessagePath") or "/dev/termination-log", False))
        for mount in spec.get("volumeMounts") or ():
            source = directories.get(mount["name"])
            if source is None:
                continue
            part = mount.get("subPath") or expand(mount.get("subPathExpr") or "", container.environment)
            if part:
                source = _below(source, part)
            read_only = bool(mount.get("readOnly")) or _is_read_only(pod, mount["name"])
            binds.append((str(source), mount["mountPath"], read_only))
        return sorted(binds, key=lambda bind: bind[1].count("/"))

    async def _pull(self, pod: Object, container: Container, rule: ImageRule, behaviour: PodBehaviour) -> ImageName:
        text = container.state.spec["image"]
        try:
            image = parse_image(text)
        except InvalidImageNameError as error:
            self.event(pod, container, "Warning", "InspectFailed", str(error))
            self.event(pod, container, "Warning", "Failed", "Error: InvalidImageName")
            raise NotStartedError("InvalidImageName", str(error), self._image_retry(container)) from error
        key = (self.node, image.reference)
        policy = container.state.spec.get("imagePullPolicy", "IfNotPresent")
        fails = behaviour.failure in PULL_FAILURES
        if policy == "Never" and key not in self.host.pulled:
            message = f'Container image "{text}" is not present with pull policy of Never'
            self.event(pod, container, "Warning", "ErrImageNeverPull", message)
            self.event(pod, container, "Warning", "Failed", "Error: ErrImageNeverPull")
            raise NotStartedError("ErrImageNeverPull", message, self._image_retry(container))
        if policy != "Always" and key in self.host.pulled and not fails:
            message = f'Container image "{text}" already present on machine'
            self.event(pod, container, "Normal", "Pulled", message)
            return image
        self.event(pod, container, "Normal", "Pulling", f'Pulling image "{text}"')
        if rule.pull_s:
            await asyncio.sleep(rule.pull_s)
        if fails or image.is_missing(self.host.options.missing_tags):
            name = image.reference
            message = behaviour.message or (
                f"rpc error: code = NotFound desc = failed to pull and unpack image "
                f'"{name}": failed to resolve reference "{name}": {name}: not found'
            )
            self.event(pod, container, "Warning", "Failed", f'Failed to pull image "{text}": {message}')
            self.event(pod, container, "Warning", "Failed", "Error: ErrImagePull")
            raise NotStartedError("ErrImagePull", message, self._image_retry(container))
        self.host.pulled.add(key)
        took = f"{int(rule.pull_s * 1000)}ms"
        message = f'Successfully pulled image "{text}" in {took} ({took} including waiting). Image size: 2219949 bytes.'
        self.event(pod, container, "Normal", "Pulled", message)
        return image

    def _image_retry(self, container: Container) -> float:
        delays = self.host.options.delays
        seconds: float = min(delays.image_retry * 2**container.retries, delays.retry_max)
        container.retries = min(container.retries + 1, 16)
        return seconds


def field_path(pod: Object, container: Container) -> str:
    """Where the container stands in the pod's spec, as Events name it."""
    role = {"init": "initContainers", "main": "containers", "ephemeral": "ephemeralContainers"}[container.state.role]
    return f"spec.{role}{{{container.name}}}"


def _below(directory: Path, part: str) -> Path:
    """A sub-path of a volume, made when missing. Raises MountError when it leads out of the volume."""
    path = (directory / part.lstrip("/")).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise MountError(f"failed to prepare subPath: {part[:64]!r} leads out of the volume")
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o777)
    return path


def _is_read_only(pod: Object, volume: str) -> bool:
    for entry in pod["spec"].get("volumes") or ():
        if entry["name"] == volume:
            return any(kind in entry for kind in ("secret", "configMap", "projected", "downwardAPI"))
    return False


def _memory_limit(spec: Object) -> int | None:
    limit: Any = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
    return int(value_of(limit)) if limit is not None else None


def _schedule_idle_end(container: Container, rule: ImageRule) -> None:
    """An idle container "runs" for ever, but for init containers and the commands true, false and sleep N."""
    if rule.run != "idle":
        return
    words = [*(container.state.spec.get("command") or ()), *(container.state.spec.get("args") or ())]
    program = words[0].rpartition("/")[2] if words else ""
    if program == "sleep" and len(words) == 2 and words[1].isdigit() and container.state.role != "init":
        container.after(int(words[1]), lambda: container.end(Ending(0, "Completed")))
    elif program == "false":
        container.after(0, lambda: container.end(Ending(1, "Error")))
    elif program == "true" or (container.state.role == "init" and not container.state.is_sidecar):
        container.after(0, lambda: container.end(Ending(0, "Completed")))
