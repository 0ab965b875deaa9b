"""What the builders take and give. Nothing here does I/O, reads a clock or draws a number.

A manifest is a plain JSON dict, ready to be sent to the Kubernetes API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from oc.errors import ODError

Json = dict[str, Any]
"""A JSON object the caller owns: no builder keeps a reference to it or to the settings inside it."""

_DRAW_SHAPES: Final = {
    "suffix": re.compile(r"[0-9a-f]{5}"),
    "xauthkey": re.compile(r"[0-9a-f]{30}"),
    "pulseaudio_cookie": re.compile(r"[0-9a-f]{32}"),
    "broadcast_cookie": re.compile(r"[0-9a-f]{48}"),
    "now": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"),
}


class ManifestError(ODError):
    """The configuration, or what is known of the user, makes no valid object. ``message`` says what is wrong."""

    default_message = "the desktop configuration is not usable"


class Built(NamedTuple):
    """A manifest and what had to be left out of it; ``warnings`` are for the operator's log, without secrets."""

    manifest: Json
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draw:
    """Everything random or taken from a clock that one pod needs; the caller draws it from ``secrets``.

    suffix: 5 lower-case hex digits. xauthkey, pulseaudio_cookie, broadcast_cookie: 30, 32 and 48 hex digits.
    now: UTC, ``YYYY-MM-DDTHH:MM:SS``. Raises ValueError on another form.
    """

    suffix: str
    xauthkey: str = field(repr=False)
    pulseaudio_cookie: str = field(repr=False)
    broadcast_cookie: str = field(repr=False)
    now: str

    def __post_init__(self) -> None:
        for name, shape in _DRAW_SHAPES.items():
            if shape.fullmatch(getattr(self, name)) is None:
                raise ValueError(f"Draw.{name} has not the form {shape.pattern}")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret of the user that exists in the namespace.

    kind: the part of its Kubernetes type after ``/`` (``localaccount``, ``vnc``, ``kerberos``, ``cifs`` ...).
    access_type: ``auth``, ``localaccount``, ``vnc``, ``ldif``, ``posixaccount``, ``driver``.
    share: of a ``driver`` secret, the JSON text that says what is mounted where.
    """

    name: str
    kind: str
    access_type: str
    share: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HomeVolume:
    """The volume of the home directory. ``source``: Kubernetes volume source, e.g. ``{"emptyDir": {}}``."""

    source: Mapping[str, Any]
    sub_path: str | None = None

    @property
    def persistent(self) -> bool:
        """True when the data outlive the pod."""
        return "emptyDir" not in self.source


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """The merged ``rules.network`` of a user (orchestration.md 5.9)."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    dns_config: Mapping[str, Any] | None = None
    external_hostname: str | None = None
    external_domain: str | None = None
    websocketrouting: str | None = None
    websocketrouting_interface: str | None = None
    webhook: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    disabled: bool = False

    @property
    def bridged(self) -> bool:
        """True when the browser reaches the desktop without the router."""
        return self.websocketrouting == "bridge"


class ApplicationRecord(Protocol):
    """The fields of a catalogue entry (services.md 5.4) the builders read."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def cmd(self) -> Sequence[str] | None: ...
    @property
    def path(self) -> str | None: ...
    @property
    def args(self) -> Sequence[str] | str | None: ...
    @property
    def rules(self) -> Any: ...
    @property
    def securitycontext(self) -> Any: ...
    @property
    def secrets_requirement(self) -> Sequence[str] | None: ...
    @property
    def executeclassname(self) -> str | None: ...
    @property
    def uniquerunkey(self) -> str | None: ...

    @property
    def runtimeClassName(self) -> str | None: ...  # noqa: N802 - name of the stored field


@dataclass(frozen=True, slots=True)
class DesktopFacts:
    """What an application needs to know of the live desktop pod; see ``desktop_facts``.

    ip: address of ``eth0``, else the pod IP. volumes: names in ``spec.volumes``.
    resources: those of the graphical container (empty when it has none).
    """

    name: str
    ip: str
    node: str
    graphical: str
    xauthkey: str = field(repr=False)
    pulseaudio_cookie: str = field(repr=False)
    broadcast_cookie: str = field(repr=False)
    volumes: frozenset[str]
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApplicationRequest:
    """What one start of an application adds: ``args`` is the file or URL to open, ``timezone`` a valid name or ``""``.

    overwrite: variables printed by the configured overwrite script, merged over the environment.
    """

    args: str = ""
    timezone: str = ""
    overwrite: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecretDraft:
    """A secret to write at login or launch.

    manifest: a whole ``v1`` Secret under its preferred name. other_name: name to take when a secret of the preferred
    name exists and ``selectors.is_users`` says of its labels that it is somebody else's; patch it (data and labels)
    otherwise. required: without it no desktop can start, so that failing to write it fails the login.
    """

    manifest: Json = field(repr=False)
    other_name: str
    required: bool


@dataclass(frozen=True, slots=True)
class HomeClaim:
    """Rendered volume and claim of a home. ``volume`` is None when the configuration has no template for it."""

    claim: Json
    volume: Json | None = None
