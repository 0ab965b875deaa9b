"""The record of an application, as MongoDB keeps it and the manager answers it."""

from __future__ import annotations

from typing import Any

import msgspec

DEFAULT_ENGINE = "ephemeral_container"


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """One container image with its labels read. The order of the fields is the order in answers.

    id: first repo tag, the key of the catalogue. sha_id: ``sha256:<hex>``. keyword and cat: comma separated texts.
    rules, acl and securitycontext are JSON objects that nobody changes. secrets_requirement: secret types with their
    ``<namespace>/`` prefix. ``runtimeClassName`` keeps the spelling of the Kubernetes field.
    """

    cmd: tuple[str, ...] | None = None
    path: str | None = None
    sha_id: str
    id: str
    architecture: str | None = None
    os: str | None = None
    rules: dict[str, Any] = {}
    acl: dict[str, Any] = {}
    launch: str
    wm_class: str | None = None
    name: str
    icon: str
    icondata: str
    keyword: str | None = None
    uniquerunkey: str | None = None
    cat: str | None = None
    args: tuple[str, ...] | None = None
    execmode: str | None = None
    showinview: str | None = None
    displayname: str
    desktopfile: str | None = None
    executeclassname: str | None = None
    runtimeClassName: str | None = None  # noqa: N815 - Kubernetes name
    executablefilename: str | None = None
    usedefaultapplication: bool = False
    mimetype: tuple[str, ...] = ()
    fileextensions: tuple[str, ...] = ()
    legacyfileextensions: tuple[str, ...] = ()
    secrets_requirement: tuple[str, ...] | None = None
    containerengine: str = DEFAULT_ENGINE
    securitycontext: dict[str, Any] = {}
    created: str | None = None

    def document(self) -> dict[str, Any]:
        """The record as a JSON-like dict: what is stored (plus ``_id``) and answered."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
