"""Logs, environment and the end of applications, with the ownership of the object really acted on checked."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from oc.errors import BadRequestError, ODResourceNotFoundError
from oc.model.deadline import Deadline
from oc.model.identity import Identity
from oc.od.orchestrator.client import Json, KubernetesClient
from oc.od.orchestrator.desktop import Desktop
from oc.od.orchestrator.errors import CommandNotStartedError, ExecError, KubernetesError, NotOwnerError
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.manifests import selectors
from oc.od.orchestrator.podcache import PodCache
from oc.od.orchestrator.podmodel import APPLICATION, Pod, pod_from
from oc.od.orchestrator.resources import PODS

logger = logging.getLogger(__name__)

LOG_BYTES = 2 * 1024 * 1024
LOG_LINES = 20_000
NO_LOG = "no log is available"
STOP_SECONDS = 10.0
STOP_COMMAND = ("/bin/sh", "-c")

STOP_SCRIPT = """
group() {
  text=
  while read -r line; do text="$text $line"; done
}
each() {
  alive=1
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/}
    [ "$pid" = "$$" ] && continue
    { group <"$directory/cgroup"; } 2>/dev/null || continue
    [ "$text" = "$mine" ] || continue
    case "$(tr '\\000' ' ' 2>/dev/null <"$directory/environ")" in
      *ABCDESKTOP_EXECUTE_RUNTIME=ephemeral_container*) ;;
      *) continue ;;
    esac
    kill "-$1" "$pid" 2>/dev/null && alive=0
  done
  return $alive
}
group </proc/$$/cgroup
mine=$text
each TERM
for second in 1 2 3 4 5; do
  each 0 || exit 0
  sleep 1
done
each KILL
exit 0
"""
"""Ends the container it is run in. The container shares the process namespace of the desktop, so its processes are
those of its control group; the variable every application gets makes sure of it where groups say nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """A container of the user: of the own desktop pod (``ephemeral``), or the one of an application pod."""

    pod: Pod
    container: str
    ephemeral: bool


class ApplicationInspector:
    """Acts on single applications."""

    def __init__(self, client: KubernetesClient, cache: PodCache) -> None:
        self._client = client
        self._cache = cache

    def find(self, desktop: Desktop, identity: Identity, podname: str, containerid: str) -> Target:
        """The application that ``podname`` and ``containerid`` name.

        Raises NotOwnerError when the pod is somebody else's, ODResourceNotFoundError when there is no such pod, or
        ``containerid`` is no application in it.
        """
        pod = self._cache.get(podname) or pod_from(self._live(podname))
        if not selectors.belongs_to(identity, pod.labels):
            raise NotOwnerError(doing=f"asking for pod {podname[:64]!r}")
        if pod.name == desktop.name and pod.uid == desktop.uid:
            if containerid in {container.name for container in pod.spec.ephemeral_containers}:
                return Target(pod, containerid, ephemeral=True)
        elif pod.kind == APPLICATION and containerid == pod.name and pod.spec.containers:
            return Target(pod, pod.spec.containers[0].name, ephemeral=False)
        raise ODResourceNotFoundError("application not found")

    def log(self, target: Target) -> str:
        """The end of its log; a fixed text when there is none."""
        return self.container_log(target.pod.name, target.container) or NO_LOG

    def container_log(self, pod: str, container: str, limit_bytes: int = LOG_BYTES) -> str:
        """The last lines of a container's log, at most ``limit_bytes``; empty when the API refuses."""
        try:
            raw = self._client.log(pod, container, limit_bytes=limit_bytes, tail_lines=LOG_LINES)
        except KubernetesError as error:
            logger.info("no log: %s", error)
            return ""
        return raw.decode("utf-8", "replace")

    def environment(self, target: Target) -> dict[str, str | None]:
        """Declared variables, name to value; None where the value comes from elsewhere (a field, a secret)."""
        live = self._live(target.pod.name)
        kind = "ephemeralContainers" if target.ephemeral else "containers"
        containers: list[Json] = live["spec"].get(kind) or []
        found = next((one for one in containers if one["name"] == target.container), Json())
        declared: list[Json] = found.get("env") or []
        return {one["name"]: None if "valueFrom" in one else one.get("value", "") for one in declared}

    def stop(self, target: Target, deadline: Deadline) -> None:
        """End the application. Raises BadRequestError when an ephemeral one cannot be ended."""
        if target.ephemeral:
            self._stop_ephemeral(target, deadline)
            return
        self._client.delete(
            PODS, target.pod.name, uid=target.pod.uid, grace=0, propagation="Foreground", deadline=deadline
        )
        self._cache.forget(target.pod.name, target.pod.uid)

    def _stop_ephemeral(self, target: Target, deadline: Deadline) -> None:
        """Kubernetes removes no ephemeral container: its processes are told to end, then made to."""
        if _ended(target.pod, target.container):
            return
        limit = deadline.sub(STOP_SECONDS)
        try:
            result = run_in_container(
                self._client,
                target.pod.name,
                target.container,
                [*STOP_COMMAND, STOP_SCRIPT],
                timeout=STOP_SECONDS,
                deadline=limit,
                output_limit=4096,
            )
            missing = result.exit_code in (126, 127)
        except CommandNotStartedError:
            missing = True
        except (ExecError, KubernetesError) as error:
            # the end of the container may take the connection with it, or come before the command
            logger.info("stopping %s: %s", target.container, error.doing)
            missing = False
        if missing:
            raise BadRequestError("this application does not support to be stopped: it has no shell")
        waited = self._cache.wait(
            target.pod.name,
            lambda pod: pod is None or pod.uid != target.pod.uid or _ended(pod, target.container),
            limit,
        )
        if not waited:
            raise BadRequestError("this application could not be stopped")

    def _live(self, name: str) -> Json:
        try:
            return self._client.get(PODS, name)
        except KubernetesError as error:
            if error.code in (404, 400):
                raise ODResourceNotFoundError("application not found") from error
            raise


def _ended(pod: Pod, container: str) -> bool:
    statuses = pod.status.ephemeral_container_statuses
    return any(status.name == container and status.state.terminated is not None for status in statuses)
