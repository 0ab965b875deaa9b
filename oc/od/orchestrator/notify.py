"""Messages to the user's browser, through the broadcast service in the desktop (spec orchestration.md 9.4)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from oc.od.orchestrator.client import KubernetesClient
from oc.od.orchestrator.errors import ExecError, KubernetesError
from oc.od.orchestrator.execution import run_in_container

logger = logging.getLogger(__name__)

METHODS = ("ocrun", "logout", "container", "download")
COMMAND = ("node", "/composer/node/occall/occall.js")
NOTIFY_SECONDS = 10.0


def notify_user(client: KubernetesClient, pod: str, container: str, method: str, payload: Mapping[str, Any]) -> bool:
    """Send one message; True when the desktop took it. A failure is logged, without the message.

    Raises ValueError for a method the broadcast service does not know.
    """
    if method not in METHODS:
        raise ValueError(f"unknown notification {method!r}")
    text = msgspec.json.encode(payload).decode()
    try:
        result = run_in_container(
            client, pod, container, (*COMMAND, method, text), timeout=NOTIFY_SECONDS, output_limit=1024
        )
    except (ExecError, KubernetesError) as error:
        logger.warning("desktop %s is not told (%s): %s", pod, method, error.doing)
        return False
    if result.exit_code != 0:
        logger.warning("desktop %s is not told (%s): exit status %d", pod, method, result.exit_code)
    return result.exit_code == 0
