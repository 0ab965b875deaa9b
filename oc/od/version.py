"""What was built: ``version.json``, written by the build (http-api.md 2.14)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

VERSION_FILE = Path("version.json")
UNDEFINED: Mapping[str, object] = {"date": "undefined", "commit": "undefined", "version": "undefined"}
BLANK: Mapping[str, object] = {"date": None, "commit": None, "version": None}


def read_version(path: Path = VERSION_FILE) -> dict[str, object]:
    """``{"date", "commit", "version"}`` of the build; ``undefined`` for what the file does not tell."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return dict(UNDEFINED)
    return {key: document.get(key, UNDEFINED[key]) for key in UNDEFINED}
