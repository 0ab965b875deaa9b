"""Are the services of a desktop up? Asked by commands in its graphical container (spec orchestration.md 6.4)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from oc.errors import DeadlineExceededError, ODError
from oc.model.deadline import Deadline
from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.desktop import Desktop
from oc.od.orchestrator.errors import ExecError, KubernetesError, LaunchFailedError
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.starting import Progress
from oc.od.settings import Settings

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.25
COMMAND_SECONDS = 10.0
MAX_SAID = 400
DEFAULT_WAIT_PORT_MS = 2000
DEFAULT_HEALTH_MS = 2000


@dataclass(frozen=True, slots=True)
class Check:
    """One command that exits 0 when ``name`` (or several, by comma) is ready."""

    name: str
    command: tuple[str, ...]


def readiness_checks(settings: Settings, ip: str) -> list[Check]:
    """The checks of a desktop at address ``ip`` in their order: services, processes, ports.

    supervisorctl takes many names and fails when one of them does not run; pidof is content with any of its names.
    Raises ODError (500) when the configuration names an entry without port, or there is no program to wait with.
    """
    graphical = settings.pod.entry("graphical")
    services = graphical.waitfor_services
    checks = [Check(", ".join(services), ("/usr/bin/supervisorctl", "status", *services))] if services else []
    checks += [Check(name, ("/usr/bin/pidof", name)) for name in graphical.waitfor_processes]
    host = f"[{ip}]" if ":" in ip else ip
    for name in graphical.waitfor_listeningservices:
        entry = settings.pod.entry(name)
        if not entry.enable:
            continue
        program = entry.waitportbin or graphical.waitportbin
        if entry.tcpport is None or program is None:
            raise ODError(
                "the readiness of the desktop is not configured",
                doing=f"desktop.pod.{name} needs tcpport and waitportbin: waitfor_listeningservices names it",
            )
        limit = str(entry.waitportbintimeout or DEFAULT_WAIT_PORT_MS)
        checks.append(Check(name, (program, "-t", limit, f"{host}:{entry.tcpport}")))
        if entry.healtzbin:
            seconds = max(1, (entry.healtzbintimeout or DEFAULT_HEALTH_MS) // 1000)
            url = f"http://{host}:{entry.tcpport}/{name}/healtz"
            checks.append(Check(name, (entry.healtzbin, "--max-time", str(seconds), url)))
    return checks


class Readiness:
    """Runs the checks of a desktop until all have passed. ``executor`` runs those of one desktop beside each other."""

    def __init__(
        self,
        settings: Settings,
        client: KubernetesClient,
        executor: Executor,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._executor = executor
        self._sleep = sleep

    def wait(self, desktop: Desktop, progress: Progress, deadline: Deadline, alive: Callable[[], bool]) -> bool:
        """True when every service answered before the deadline; what is missing then is logged.

        alive: whether the pod can still become ready; asked before each command. A check that passed is not asked
        again, so a ready desktop costs one command each. The first check is asked alone, until it passes: so much
        earlier is a desktop that has just started never ready.
        Raises LaunchFailedError as soon as the pod has ended, ODError when the configuration cannot be followed.
        """
        if desktop.ip is None or desktop.container_name is None:
            return False
        started = time.monotonic()
        checks = readiness_checks(self._settings, desktop.ip)
        for part in (checks[:1], checks[1:]):
            if not part:
                continue
            progress(f"c.Waiting for {', '.join(dict.fromkeys(check.name for check in part))}")
            if not self._all_pass(desktop, part, deadline, alive):
                return False
        progress(f"c.Services ready after {time.monotonic() - started:.1f} s")
        return True

    def _all_pass(self, desktop: Desktop, checks: list[Check], deadline: Deadline, alive: Callable[[], bool]) -> bool:
        """One check in this thread, the others in the executor's; those it has no thread for yet here, in turn."""
        others = [(check, self._submitted(desktop, check, deadline, alive)) for check in checks[1:]]
        try:
            passed = [self._passes(desktop, checks[0], deadline, alive)]
            for check, future in others:
                if future is None or future.cancel():
                    passed.append(self._passes(desktop, check, deadline, alive))
                else:
                    passed.append(future.result())
        finally:
            for _, future in others:
                if future is not None:
                    future.cancel()
        return all(passed)

    def _submitted(
        self, desktop: Desktop, check: Check, deadline: Deadline, alive: Callable[[], bool]
    ) -> Future[bool] | None:
        try:
            return self._executor.submit(self._passes, desktop, check, deadline, alive)
        except RuntimeError:  # stopping; the launch goes on to its end
            return None

    def _passes(self, desktop: Desktop, check: Check, deadline: Deadline, alive: Callable[[], bool]) -> bool:
        """Ask until the answer is yes; False at the deadline."""
        container = desktop.container_name or ""
        said = b""
        while not deadline.expired:
            if not alive():
                raise _ended(desktop)
            try:
                result = run_in_container(
                    self._client,
                    desktop.name,
                    container,
                    check.command,
                    timeout=COMMAND_SECONDS,
                    deadline=deadline,
                    output_limit=1024,
                )
                if result.exit_code == 0:
                    return True
                said = result.stdout or result.stderr
            except KubernetesError as error:
                if error.code in (401, 403):
                    logger.warning("desktop %s cannot be asked: %s", desktop.name, error)
                    return False
            except DeadlineExceededError:
                break
            except ExecError as error:
                logger.debug("desktop %s, %s: %s", desktop.name, check.name, error.doing)
            self._sleep(min(PAUSE_SECONDS, deadline.remaining()))
        logger.warning("desktop %s: %s not ready in time; last said: %r", desktop.name, check.name, said[:MAX_SAID])
        return False


def _ended(desktop: Desktop) -> LaunchFailedError:
    return LaunchFailedError("the desktop ended while its services were starting", doing=f"waiting for {desktop.name}")
