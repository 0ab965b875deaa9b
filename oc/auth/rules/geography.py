"""Distance on the globe, and what a browser says about its position."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

EARTH_RADIUS: Final = 6_371_008.8
"""Mean radius in metres (IUGG)."""


def distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance in metres between two points given in degrees (haversine formula)."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half_phi = (other_phi - phi) / 2
    half_lambda = math.radians(other_longitude - longitude) / 2
    chord = math.sin(half_phi) ** 2 + math.cos(phi) * math.cos(other_phi) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, chord)))


def position(value: Any) -> dict[str, float] | None:
    """``accuracy``, ``latitude`` and ``longitude`` of a position, or None when one is missing, no number or absurd."""
    if not isinstance(value, Mapping):
        return None
    numbers: dict[str, float] = {}
    for key, limit in (("accuracy", 4e7), ("latitude", 90.0), ("longitude", 180.0)):
        number = value.get(key)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= limit:
            return None
        numbers[key] = float(number)
    return numbers if numbers["accuracy"] >= 0 else None
