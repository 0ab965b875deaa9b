"""Kubernetes: desktops, applications and secrets of one namespace. Knows no HTTP and no catalogue."""

from __future__ import annotations

from oc.od.orchestrator.applications import ApplicationInstance, ApplicationRefusedError
from oc.od.orchestrator.client import KubernetesClient, load_configuration
from oc.od.orchestrator.desktop import Desktop
from oc.od.orchestrator.errors import ExecError, KubernetesError, LaunchFailedError, NotOwnerError
from oc.od.orchestrator.facade import Orchestrator
from oc.od.orchestrator.listing import RunningApplication
from oc.od.orchestrator.removal import RemovalError

__all__ = [
    "ApplicationInstance",
    "ApplicationRefusedError",
    "Desktop",
    "ExecError",
    "KubernetesClient",
    "KubernetesError",
    "LaunchFailedError",
    "NotOwnerError",
    "Orchestrator",
    "RemovalError",
    "RunningApplication",
    "load_configuration",
]
