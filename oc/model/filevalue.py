"""Values of the configuration that may stand in a file of their own: ``file:///path``."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

SCHEME: Final = "file://"
MAX_LINE: Final = 64 * 1024
"""Bytes of the first line that are read; more are left out."""


def is_file(value: str) -> bool:
    """Whether the value stands in a file."""
    return value.startswith(SCHEME)


def path_of(value: str) -> Path:
    """The file that ``file:///path`` names; %-escapes are decoded."""
    return Path(unquote(urlsplit(value).path))


def read_value(value: str) -> str:
    """``value`` itself, or the first line of the file in ``file:///path``, right-trimmed.

    Raises OSError, or ValueError for a file that is no UTF-8 text.
    """
    if not is_file(value):
        return value
    with path_of(value).open("rb") as file:
        return file.readline(MAX_LINE).decode().rstrip()
