"""Which autonomous system an address belongs to (services.md 8.3): a pyasn database, GeoLite2 where it knows nothing.

The database is a text file of ``prefix<TAB>number`` lines, made by ``pyasn_util_convert.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, cast

from oc.od.locator import is_public

logger = logging.getLogger(__name__)


class _Database(Protocol):
    def lookup(self, address: str) -> tuple[int | None, str | None]: ...


class AsNumber:
    """Thread-safe after construction; a look-up never raises. A missing or broken file is logged and only switches
    itself off. fallback: gives the digits of an AS for addresses the file does not have.
    """

    def __init__(self, file: Path, fallback: Callable[[str], str | None] | None = None) -> None:
        self._database = _open(file)
        self._fallback = fallback

    @property
    def available(self) -> bool:
        """Whether the pyasn database could be read."""
        return self._database is not None

    def of(self, address: str) -> str | None:
        """Digits of the AS of a public address; None when unknown, private or no address."""
        if not is_public(address):
            return None
        number = self._lookup(address)
        if number is not None:
            return str(number)
        return self._fallback(address) if self._fallback is not None else None

    def belongs_to(self, address: str, numbers: str | int | Iterable[str | int]) -> bool:
        """Whether the address is in the AS, or one of those, given as number or digits (``AS`` before them is fine)."""
        wanted = [numbers] if isinstance(numbers, (str, int)) else list(numbers)
        found = self.of(address)
        return found is not None and found in {str(number).strip().upper().removeprefix("AS") for number in wanted}

    def _lookup(self, address: str) -> int | None:
        if self._database is None:
            return None
        try:
            return self._database.lookup(address)[0]
        except (ValueError, TypeError, IndexError):
            return None


def _open(file: Path) -> _Database | None:
    if not file.is_file():
        logger.info("%s is not there: AS numbers come from GeoLite2 only", file)
        return None
    try:
        import pyasn

        database = pyasn.pyasn(str(file))
    except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
        logger.error("%s cannot be read, AS numbers come from GeoLite2 only: %s", file, error)
        return None
    return cast(_Database, database)
