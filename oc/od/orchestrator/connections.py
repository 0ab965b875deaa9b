"""How many browsers are connected to a desktop (spec orchestration.md 8.2, step 3)."""

from __future__ import annotations

import logging

from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.errors import ExecError, KubernetesError
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.podmodel import Pod

logger = logging.getLogger(__name__)

COMMAND = ("/composer/connectcount.sh",)
COUNT_SECONDS = 10.0


def is_starting(pod: Pod) -> bool:
    """True while no graphical container of the pod has run yet: nobody can be connected to it."""
    status = next((one for one in pod.status.container_statuses if one.name == pod.graphical), None)
    return pod.phase == "Pending" and (status is None or (status.state.running is None and not status.restart_count))


def count_connections(client: KubernetesClient, pod: Pod) -> int | None:
    """Established connections to the desktop's VNC port; None when that cannot be told."""
    if is_starting(pod):
        return 0
    if pod.graphical is None:
        return None
    try:
        result = run_in_container(client, pod.name, pod.graphical, COMMAND, timeout=COUNT_SECONDS, output_limit=1024)
    except (ExecError, KubernetesError) as error:
        logger.info("connections of %s cannot be counted: %s", pod.name, error.doing)
        return None
    text = result.stdout.strip()
    if result.exit_code != 0 or not text.isdigit() or len(text) > 9:
        logger.info("connections of %s cannot be counted: exit status %d", pod.name, result.exit_code)
        return None
    return int(text)
