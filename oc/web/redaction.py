"""Secrets are replaced before anything is traced (http-api.md 2.13). Works on a copy, never on the live object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

MASK = "XXXXXXXXXXX"
SECRET_KEYS = frozenset(
    {
        "password",
        "authorization",
        "jwt_user_token",
        "vncpassword",
        "vnc_password",
        "credential",
        "credentials",
        "token",
        "publickey",
        "apikey",
        "secret",
        "client_secret",
        "access_token",
        "refresh_token",
        "id_token",
        "code",
        "abcauthorization",
        "x-api-key",
        "cookie",
    }
)
SECRET_HEADERS = frozenset(
    {"abcauthorization", "authorization", "proxy-authorization", "x-api-key", "cookie", "authdnskey"}
)
TRUNCATED = "...[truncated]"
_MAX_DEPTH = 32


def redact(value: object) -> object:
    """A copy of a JSON-like value with every secret replaced, at any depth."""
    return _copy(value, _Budget(1 << 62), 0)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as they may be shown."""
    return {name: MASK if name.lower() in SECRET_HEADERS else text for name, text in headers.items()}


def traced(value: object, limit: int) -> str:
    """JSON text of ``value`` for the trace: redacted, at most ``limit`` bytes and a truncation mark.

    Costs in proportion to ``limit``, not to the size of ``value``.
    """
    copy = _copy(value, _Budget(limit), 0)
    data = msgspec.json.encode(copy, enc_hook=str)
    if len(data) <= limit:
        return data.decode()
    return data[:limit].decode(errors="ignore") + TRUNCATED


class _Budget:
    """Characters that may still be copied."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, amount: int) -> None:
        self.left -= amount


def _copy(value: Any, budget: _Budget, depth: int) -> object:
    budget.spend(1)
    if isinstance(value, str):
        # One more character than is left, so that the text is seen to be cut.
        text = value[: max(0, budget.left) + 1]
        budget.spend(len(value))
        return text
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, msgspec.Raw):
        return f"[{len(bytes(value))} bytes]"
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return _copy_mapping(value, budget, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = []
        for item in value:
            if budget.left < 0:
                break
            items.append(_copy(item, budget, depth + 1))
        return items
    return value


def _copy_mapping(value: Mapping[Any, Any], budget: _Budget, depth: int) -> object:
    result: dict[str, object] = {}
    for key, item in value.items():
        if budget.left < 0:
            break
        name = str(key)
        budget.spend(len(name))
        secret = name.lower() in SECRET_KEYS and item is not None and not isinstance(item, bool)
        result[name] = MASK if secret else _copy(item, budget, depth + 1)
    return result
