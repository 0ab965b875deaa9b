"""Icons as base64 texts: the generated default of an application, and the files of dock entries."""

from __future__ import annotations

import base64
import logging
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

logger = logging.getLogger(__name__)

MAX_ICON_BYTES: Final = 1024 * 1024
MAX_NAME_CHARS: Final = 64
FALLBACK_FILE: Final = "application-default-icon.svg"


def default_icon(name: str) -> str:
    """Base64 of an SVG that shows the application's name on white."""
    # XML 1.0 has no control characters, not even escaped.
    printable = "".join(c for c in name[:MAX_NAME_CHARS] if c.isprintable())
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        '<rect width="64" height="64" fill="white"/>'
        f'<text x="0" y="32" fill="black">{escape(printable)}</text></svg>'
    )
    return base64.b64encode(svg.encode("utf-8", "replace")).decode("ascii")


def file_icon(directory: Path, name: object) -> str | None:
    """Base64 of icon file ``name`` of ``directory``, never of a file outside it.

    A missing or unusable file is logged and gives the directory's default icon, None without one. Reads bytes, so
    that PNG files work too.
    """
    data = _read(directory, name)
    if data is None:
        logger.error("icon file %r is not in %s or cannot be read", str(name)[:200], directory)
        data = _read(directory, FALLBACK_FILE)
    return None if data is None else base64.b64encode(data).decode("ascii")


def _read(directory: Path, name: object) -> bytes | None:
    if not isinstance(name, str) or not name or "\0" in name:
        return None
    try:
        root = directory.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > MAX_ICON_BYTES:
            return None
        return path.read_bytes()
    except (OSError, RuntimeError):
        return None
