"""A desktop as the layers above see it (spec orchestration.md 6.6)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oc.od.orchestrator.podmodel import Pod

NETWORK_STATUS = ("k8s.v1.cni.cncf.io/network-status", "k8s.v1.cni.cncf.io/networks-status")
VNC_SECRET_PREFIX = "auth-vnc-"  # noqa: S105 - the beginning of an object name
LAST_LOGIN = "lastlogin_datetime"


@dataclass(frozen=True, slots=True)
class Desktop:
    """A desktop pod at one moment. ``vnc_password`` is None unless it was read for the desktop's own user.

    interfaces: network interface -> ``{"mac": text, "ips": text or list}``, empty with one network.
    vnc_secret: name of the secret the pod mounts.
    """

    name: str
    uid: str
    status: str
    ip: str | None
    node: str | None
    hostname: str | None
    container_id: str | None
    container_name: str | None
    fqdn: str | None
    labels: Mapping[str, str] = field(repr=False)
    interfaces: Mapping[str, Mapping[str, Any]]
    creation_timestamp: str | None
    lastlogin_datetime: str | None
    websocketrouting: str | None
    websocketroute: str | None
    vnc_secret: str | None
    vnc_password: str | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The pod's name."""
        return self.name

    @property
    def internaluri(self) -> str | None:
        """Host the router connects to: the DNS name where configured, else the pod's address."""
        return self.fqdn or self.ip

    @property
    def is_reachable(self) -> bool:
        """True when a browser can be sent there: address and VNC password are known."""
        return bool(self.internaluri) and bool(self.vnc_password)

    @property
    def provider(self) -> str:
        """Label access_provider."""
        return self.labels.get("access_provider", "")

    @property
    def user(self) -> str:
        """Label access_userid."""
        return self.labels.get("access_userid", "")

    def with_password(self, password: str) -> Desktop:
        """The same desktop, with its VNC password."""
        return dataclasses.replace(self, vnc_password=password)

    def public_dict(self) -> dict[str, Any]:
        """What lists and the console show; never the password."""
        return {
            "id": self.name,
            "name": self.name,
            "status": self.status,
            "ipAddr": self.ip,
            "container_id": self.container_id,
            "container_name": self.container_name,
            "creation_timestamp": self.creation_timestamp,
            "lastlogin_datetime": self.lastlogin_datetime,
            "nodehostname": self.node,
            "hostname": self.hostname,
            "fqdn": self.fqdn,
            "vncPassword": None,
            "desktop_interfaces": {name: dict(facts) for name, facts in self.interfaces.items()} or None,
            "websocketrouting": self.websocketrouting,
            "websocketroute": self.websocketroute,
        }


def desktop_from(pod: Pod, *, domain: str | None, websocketrouting: str | None = None) -> Desktop:
    """Describe ``pod``. domain: ``<namespace>.<cluster domain>`` when desktops are addressed by DNS name, else None.

    websocketrouting: configured default, for pods without the label.
    """
    graphical = pod.graphical
    status = next((s for s in pod.status.container_statuses if s.name == graphical), None)
    return Desktop(
        name=pod.name,
        uid=pod.uid,
        status=pod.phase,
        ip=pod.status.pod_ip or None,
        node=pod.spec.node_name,
        hostname=pod.spec.hostname,
        container_id=status.container_id if status else None,
        container_name=graphical,
        fqdn=f"{pod.name}.{pod.spec.subdomain or 'desktop'}.{domain}" if domain else None,
        labels=pod.labels,
        interfaces=interfaces_of(pod.metadata.annotations),
        creation_timestamp=pod.metadata.creation_timestamp,
        lastlogin_datetime=pod.metadata.annotations.get(LAST_LOGIN),
        websocketrouting=pod.labels.get("websocketrouting", websocketrouting),
        websocketroute=pod.labels.get("websocketroute"),
        vnc_secret=pod.secret_of(VNC_SECRET_PREFIX),
    )


def interfaces_of(annotations: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Interfaces out of the annotation a multi-network plugin writes; empty when absent or malformed."""
    text = next((annotations[key] for key in NETWORK_STATUS if key in annotations), None)
    if text is None:
        return {}
    try:
        entries = json.loads(text)
    except ValueError:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("interface"), str):
            ips = entry.get("ips") or []
            found[entry["interface"]] = {"mac": entry.get("mac"), "ips": ips[0] if len(ips) == 1 else ips}
    return found
