"""OpenAPI v2 and v3 documents, made from the schemas the validation uses."""

from __future__ import annotations

from devstack.cluster.calls import Reply


def answer(parts: list[str], accept: str | None) -> Reply | None:
    """The answer to /openapi/...; None: no such page."""
    return None
