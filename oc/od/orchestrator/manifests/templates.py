"""Mustache substitution of configuration values (orchestration.md 3.1): always a copy, never HTML escaping.

A template is the operator's; the values put into it come from directories and identity providers. Each place
therefore says what a value may contain: ``PLAIN`` (environment), ``COMMAND`` (may pass a shell), ``VOLUME`` (paths and
identifiers of storage), so that no value can leave the field it was meant for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import chevron
from chevron.tokenizer import tokenize

from oc.model.identity import Identity, PosixAccount
from oc.od.orchestrator.manifests.posix import account_dict
from oc.od.orchestrator.manifests.types import ManifestError

Place = Callable[[str, str], str]
"""Makes a value harmless for one place: (name, text) gives text."""

_ABSOLUTE_PATHS: Final = frozenset({"homeDirectory", "loginShell"})
_MAX_DEPTH: Final = 40


def plain(_name: str, text: str) -> str:
    """Environment values: everything but NUL, which no variable can hold."""
    return text.replace("\0", "")


def command(_name: str, text: str) -> str:
    """Words of a command, which may be a shell's: a character with a meaning to a shell becomes ``-``."""
    return re.sub(r"[^\w@%+=:,./-]", "-", text)


def volume(name: str, text: str) -> str:
    """Paths, server names and volume handles: no separator that could point to somebody else's data.

    Only home directory and shell keep their ``/``; a component ``.`` or ``..`` becomes ``-``.
    """
    kept = "/" if name in _ABSOLUTE_PATHS else ""
    cleaned = re.sub(rf"[^\w@.,:=+ {kept}-]", "-", text)
    return "/".join("-" if part in (".", "..") else part for part in cleaned.split("/"))


def render(value: Any, context: Mapping[str, Any], place: Place = plain) -> Any:
    """A copy of a JSON-like ``value`` with every text in it rendered; unknown names become nothing.

    Raises ManifestError for a template that is not well formed.
    """
    return _render(value, _clean(context, place), _MAX_DEPTH)


def _render(value: Any, context: Mapping[str, Any], depth: int) -> Any:
    if depth == 0:
        raise ManifestError("a template of the configuration is nested too deeply")
    if isinstance(value, str):
        return _text(value, context)
    if isinstance(value, Mapping):
        return {key: _render(item, context, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_render(item, context, depth - 1) for item in value]
    return value


def _text(template: str, context: Mapping[str, Any]) -> str:
    if "{{" not in template:
        return template
    try:
        # chevron escapes HTML in {{ name }} only: every variable is turned into the {{{ name }}} form.
        tokens = [("no escape" if tag == "variable" else tag, key) for tag, key in tokenize(template)]
        return str(chevron.render(tokens, dict(context), partials_path=None))
    except SyntaxError as error:
        # the text of the error holds the template only, never a value
        raise ManifestError("a template of the configuration is not well formed", doing=str(error)) from None


def _clean(context: Mapping[str, Any], place: Place) -> dict[str, Any]:
    return {name: _clean_value(name, value, place) for name, value in context.items()}


def _clean_value(name: str, value: Any, place: Place) -> Any:
    """None gives no text, True gives ``true``: what a reader of JSON expects, not Python's spelling."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return place(name, value)
    if isinstance(value, Mapping):
        return _clean(value, place)
    if isinstance(value, (list, tuple)):
        return [_clean_value(name, item, place) for item in value]
    return ""


def posix_context(posix: PosixAccount) -> dict[str, Any]:
    """The names every template knows: those of the POSIX account, ``groups`` as a list of dicts."""
    return account_dict(posix)


def storage_context(
    identity: Identity,
    posix: PosixAccount,
    *,
    uuid: str,
    locale: str = "",
    attributes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The names of volume and claim templates; the user's labels never hide another name.

    attributes: what the login told of the user (``mail``, ``department`` ...); they hide nothing either.
    """
    context: dict[str, Any] = {**(attributes or {}), **identity.labels}
    context.update(posix_context(posix))
    context.update(
        provider=identity.provider.lower(),
        providertype=identity.providertype,
        protocol="",
        domain=identity.domain or "",
        userid=identity.userid,
        name=identity.name,
        locale=locale,
        uuid=uuid,
    )
    return context
