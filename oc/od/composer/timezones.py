"""Time zone names that a browser may send."""

from __future__ import annotations

import functools
import zoneinfo


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def valid_timezone(name: object) -> str:
    """``name`` when it is an IANA time zone name of the machine's database, else ``""``."""
    return name if isinstance(name, str) and len(name) > 1 and name in _known() else ""
