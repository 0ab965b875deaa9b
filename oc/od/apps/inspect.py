"""Image descriptions of container tools → application records (spec services.md 5.1 to 5.4).

Read are the JSON of ``docker inspect``, ``podman inspect``, ``nerdctl inspect`` and ``crictl inspecti``, and a flat
object that carries the ``oc.*`` keys next to ``RepoTags`` and ``Id``.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from oc.errors import BadRequestError
from oc.od.apps.icons import default_icon
from oc.od.apps.model import DEFAULT_ENGINE, Application
from oc.od.apps.values import MAX_ICON_CHARS, Values, plain_text, text_list

logger = logging.getLogger(__name__)

_EMPTY: Mapping[str, object] = {}
MAX_ID_CHARS: Final = 512
_IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*:[A-Za-z0-9]+|[A-Za-z0-9]+")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


class UnusableImageError(BadRequestError):
    """A description that gives no application; ``message`` says why."""

    default_message = "the description is no usable image"


class _Image(NamedTuple):
    """The parts of a description, wherever its tool puts them; none is checked yet."""

    tags: object
    digest: object
    config: Mapping[str, Any]
    labels: Mapping[str, Any]
    surroundings: Mapping[str, Any]
    names: tuple[str, str, str]  # of architecture, os and created in the surroundings


def read_image(item: object, namespace: str) -> Application | None:
    """The application of one description; None, with a WARNING naming it, when it gives none."""
    try:
        return parse_image(item, namespace)
    except UnusableImageError as error:
        logger.warning("image %s is skipped: %s", _named(item), error.message)
        return None


def parse_image(item: object, namespace: str) -> Application:
    """The application of one description. Raises UnusableImageError.

    namespace: of the desktops, the prefix of secret types.
    """
    image = _take_apart(item)
    identifier = _identifier(image.tags)
    labels = Values(image.labels, identifier, "oc.")
    cmd, args = _command(image.config, labels)
    path = labels.text("path")
    program = _program(cmd)
    name = labels.text("name") or program
    if not name:
        raise UnusableImageError("it has no name and no command")
    architecture, system, created = (plain_text(image.surroundings.get(key)) for key in image.names)
    return Application(
        cmd=cmd,
        path=path,
        sha_id=_digest(image.digest),
        id=identifier,
        architecture=architecture,
        os=system,
        launch=labels.text("launch") or name,
        name=name,
        icon=labels.text("icon") or name,
        icondata=icon_data(labels, name),
        args=args,
        displayname=labels.text("displayname") or name,
        executablefilename=posixpath.basename(path) or program if path else program,
        created=created,
        **label_fields(labels, namespace),
    )


def label_fields(labels: Values, namespace: str) -> dict[str, Any]:
    """The fields that depend on nothing but their own value, for a label set or a stored record."""
    return {
        "rules": labels.object("rules"),
        "acl": labels.acl("acl"),
        "wm_class": labels.text("wm_class"),
        "keyword": labels.joined("keyword"),
        "uniquerunkey": labels.text("uniquerunkey"),
        "cat": labels.joined("cat"),
        "execmode": labels.text("execmode"),
        "showinview": labels.text("showinview"),
        "desktopfile": labels.text("desktopfile"),
        "executeclassname": labels.text("executeclassname"),
        "runtimeClassName": labels.text("runtimeClassName") or labels.text("runtimeclassname"),
        "usedefaultapplication": labels.flag("usedefaultapplication"),
        "mimetype": labels.semicolons("mimetype"),
        "fileextensions": labels.semicolons("fileextensions"),
        "legacyfileextensions": labels.semicolons("legacyfileextensions"),
        "secrets_requirement": labels.secrets("secrets_requirement", namespace),
        "containerengine": labels.text("containerengine") or DEFAULT_ENGINE,
        "securitycontext": labels.object("securitycontext"),
    }


def icon_data(labels: Values, name: str) -> str:
    """The icon as base64; the generated one when there is none or it is no base64 (it ends up in a data: URL)."""
    data = labels.text("icondata", MAX_ICON_CHARS)
    if data is not None and _BASE64.fullmatch(data):
        return data
    return default_icon(name)


def _take_apart(item: object) -> _Image:
    if not isinstance(item, Mapping):
        raise UnusableImageError("it is no object")
    status, info = item.get("status"), item.get("info")
    if isinstance(status, Mapping) and isinstance(info, Mapping):
        spec = _mapping(info.get("imageSpec"))
        config = spec.get("config")
        names = ("architecture", "os", "created")
        return _with_config(status.get("repoTags"), status.get("id"), config, spec, names)
    names = ("Architecture", "Os", "Created")
    if isinstance(item.get("Config"), Mapping):
        return _with_config(item.get("RepoTags"), item.get("Id"), item["Config"], item, names)
    if any(isinstance(key, str) and key.startswith("oc.") for key in item):
        return _Image(item.get("RepoTags"), item.get("Id"), item, item, item, names)
    raise UnusableImageError("it has no image configuration")


def _with_config(
    tags: object, digest: object, config: object, surroundings: Mapping[str, Any], names: tuple[str, str, str]
) -> _Image:
    if not isinstance(config, Mapping):
        raise UnusableImageError("it has no image configuration")
    return _Image(tags, digest, config, _mapping(config.get("Labels")), surroundings, names)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else _EMPTY


def _identifier(tags: object) -> str:
    if not isinstance(tags, (list, tuple)) or not tags:
        raise UnusableImageError("it has no repository tag")
    if not is_image_id(tags[0]):
        raise UnusableImageError("its first repository tag is no image reference")
    return str(tags[0])


def is_image_id(value: object) -> bool:
    """Whether ``value`` may be the id of an application: an image reference of at most 512 characters."""
    return isinstance(value, str) and len(value) <= MAX_ID_CHARS and _IMAGE_ID.fullmatch(value) is not None


def _digest(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_ID_CHARS or not _DIGEST.fullmatch(value):
        raise UnusableImageError("it has no digest")
    return f"sha256:{value}" if _HEX_DIGEST.fullmatch(value) else value


def _command(config: Mapping[str, Any], labels: Values) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Command and arguments of 5.3: an Entrypoint makes Cmd its arguments."""
    entrypoint, cmd = text_list(config.get("Entrypoint")), text_list(config.get("Cmd"))
    if entrypoint and cmd:
        return entrypoint, cmd
    command = entrypoint or cmd
    if command is None:
        return None, None
    args = labels.text("args")
    return command, (args,) if args is not None else text_list(labels.raw("args"))


def _program(cmd: tuple[str, ...] | None) -> str | None:
    """What the command starts, None when that is no usable name."""
    name = plain_text(posixpath.basename(cmd[0])) if cmd else None
    return name if name and name.strip() else None


def _named(item: object) -> str:
    """What to call a description in a log record, whatever it is."""
    if not isinstance(item, Mapping):
        return f"<{type(item).__name__}>"
    for holder in (item, _mapping(item.get("status"))):
        for key in ("RepoTags", "repoTags", "Id", "id"):
            value = holder.get(key)
            if isinstance(value, (list, tuple)) and value:
                value = value[0]
            if isinstance(value, str) and value:
                return repr(value[:200])
    return "<unnamed>"
