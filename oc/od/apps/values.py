"""Reading of single values of an image description: label texts of any quality become typed values.

``Values`` never raises: what cannot be used is logged with the image's name and gives the default.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

logger = logging.getLogger(__name__)

MAX_TEXT_CHARS: Final = 64 * 1024
MAX_ICON_CHARS: Final = 512 * 1024
MAX_ITEMS: Final = 2000
_MAX_DEPTH: Final = 32


def plain_text(value: object, limit: int = MAX_TEXT_CHARS) -> str | None:
    """``value`` when it is a text of at most ``limit`` characters that UTF-8 and BSON can hold, else None."""
    if not isinstance(value, str) or len(value) > limit:
        return None
    try:
        value.encode()  # lone surrogates, which JSON may bring, fail
    except UnicodeEncodeError:
        return None
    return value


def text_list(value: object) -> tuple[str, ...] | None:
    """``value`` when it is a non-empty list of usable texts, else None."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value or len(value) > MAX_ITEMS:
        return None
    texts = tuple(text for text in map(plain_text, value) if text is not None)
    return texts if len(texts) == len(value) else None


def _storable(value: Any, depth: int = 0) -> bool:
    """Whether a JSON value can be stored: BSON has 64-bit integers and no NUL in names, and bounds the nesting."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    if isinstance(value, str):
        return plain_text(value) is not None
    if isinstance(value, list):
        return all(_storable(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and plain_text(key) is not None and "\0" not in key and _storable(part, depth + 1)
            for key, part in value.items()
        )
    return False


class Values:
    """The labels of one image (or the fields of a stored record), read field by field.

    owner names the image in log records; prefix is put before each field name (``oc.`` for labels).
    """

    def __init__(self, values: Mapping[str, object], owner: str, prefix: str = "") -> None:
        self._values = values
        self._owner = owner
        self._prefix = prefix

    def raw(self, name: str) -> object:
        """The value as given, None when absent."""
        return self._values.get(self._prefix + name)

    def text(self, name: str, limit: int = MAX_TEXT_CHARS) -> str | None:
        """A text; None when absent, blank, too long or no text."""
        value = self.raw(name)
        if value is None:
            return None
        found = plain_text(value, limit)
        if found is None:
            self._warn(name, f"is no text of at most {limit} characters")
            return None
        return found if found.strip() else None

    def joined(self, name: str) -> str | None:
        """A comma list kept as text; a list of texts is joined."""
        value = self.raw(name)
        if isinstance(value, (list, tuple)):
            texts = text_list(value)
            if texts is None and value:
                self._warn(name, "is no list of texts")
            return ",".join(texts) if texts else None
        return self.text(name)

    def semicolons(self, name: str) -> tuple[str, ...]:
        """A ``;`` list: blank elements dropped, order kept. A list of texts is accepted."""
        value = self.raw(name)
        if isinstance(value, (list, tuple)):
            parts: Sequence[str] = text_list(value) or ()
            if value and not parts:
                self._warn(name, "is no list of texts")
        else:
            parts = (self.text(name) or "").split(";")
        found = tuple(part.strip() for part in parts if part.strip())
        if len(found) > MAX_ITEMS:
            self._warn(name, f"has more than {MAX_ITEMS} elements, the rest is dropped")
        return found[:MAX_ITEMS]

    def json(self, name: str) -> object:
        """The value of a JSON text, or a value that is no text as it is; None when absent or unusable (logged)."""
        value = self.raw(name)
        if isinstance(value, str):
            text = self.text(name)
            if text is None:
                return None
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                logger.error("image %s: %s%s is not JSON, the default is used", self._owner, self._prefix, name)
                return None
        if not _storable(value):
            self._warn(name, "holds what cannot be stored")
            return None
        return value

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object; ``{}`` when absent or unusable."""
        value = self.json(name)
        if isinstance(value, dict):
            return value
        if value is not None:
            self._warn(name, "is no JSON object")
        return {}

    def acl(self, name: str) -> dict[str, Any]:
        """An access list; everybody when absent or not JSON, nobody when it is anything but a JSON object."""
        value = self.raw(name)
        if isinstance(value, str) and len(value) <= MAX_TEXT_CHARS:
            try:
                value = json.loads(value) if value.strip() else None
            except RecursionError:
                pass  # JSON of a hostile depth: nobody
            except ValueError:
                logger.error("image %s: %s%s is not JSON, the default is used", self._owner, self._prefix, name)
                value = None
        if value is None:
            return {"permit": ["all"]}
        if isinstance(value, dict) and _storable(value):
            return value
        self._warn(name, "is no JSON object that can be stored: nobody may run the image")
        return {"permit": []}

    def flag(self, name: str) -> bool:
        """A JSON boolean; False when absent or unusable."""
        value = self.json(name)
        if isinstance(value, bool):
            return value
        if value is not None:
            self._warn(name, "is no boolean")
        return False

    def secrets(self, name: str, namespace: str) -> tuple[str, ...] | None:
        """Secret types, each with the prefix ``<namespace>/``; None when absent or unusable."""
        value = self.json(name)
        texts = (value,) if isinstance(value, str) else text_list(value)
        if not texts:
            if value is not None and value != []:
                self._warn(name, "is no text and no list of texts")
            return None
        prefix = f"{namespace}/"
        kept = [text.strip() for text in texts if text.strip()]
        return tuple(text if text.startswith(prefix) else prefix + text for text in kept) or None

    def _warn(self, name: str, what: str) -> None:
        logger.warning("image %s: %s%s %s", self._owner, self._prefix, name, what)
