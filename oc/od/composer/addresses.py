"""Addresses of desktops by user id (spec orchestration.md 9.3)."""

from __future__ import annotations

from oc.model import names
from oc.od.orchestrator import Desktop, Orchestrator


def desktop_address(orchestrator: Orchestrator, interface: str, userid: str) -> str | None:
    """The address of ``interface`` of the user's running desktop, of the pod when it has one network.

    The user id is looked for as given, in lower and in upper case. None when there is no such desktop, or several
    providers have one under that id: a name server must not give the desktop of somebody else.
    """
    for spelling in dict.fromkeys((userid, userid.lower(), userid.upper())):
        desktops = orchestrator.list_desktops(names.user_label(spelling))
        found = [desktop for desktop in desktops if desktop.status == "Running"]
        if found:
            return interface_address(found[0], interface) if len(found) == 1 else None
    return None


def interface_address(desktop: Desktop, interface: str) -> str | None:
    """The first address of that interface."""
    if not desktop.interfaces:
        return desktop.ip if interface == "eth0" else None
    ips = desktop.interfaces.get(interface, {}).get("ips")
    first = ips[0] if isinstance(ips, list) and ips else ips
    return first if isinstance(first, str) else None
