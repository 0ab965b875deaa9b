"""Secrets that can be recognised anywhere, and what is looked through for them."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import requests

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


def marker(name: str) -> str:
    """A new secret value."""
    return f"canary-{name}-{secrets.token_hex(12)}"


@dataclass
class Marked:
    """Name of a secret -> its value."""

    values: dict[str, str] = field(default_factory=dict)

    def make(self, name: str) -> str:
        """A new secret of this name."""
        self.values[name] = marker(name)
        return self.values[name]

    def know(self, name: str, value: str) -> None:
        """A secret that the product or the stack made up."""
        assert len(value) >= 8, f"{name} is too short to be recognised"
        self.values[name] = value

    def found_in(self, text: str) -> set[str]:
        """The names of the secrets that ``text`` holds: plain, percent-encoded, JSON-escaped, or in base64."""
        texts = [text, *decoded(text)]
        return {
            name for name, value in self.values.items() if any(form in one for one in texts for form in forms(value))
        }


def forms(value: str) -> set[str]:
    """A value as it may be spelt in a log or a document."""
    return {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1]}


def decoded(text: str) -> Iterator[str]:
    """What the base64 pieces of a text decode to, twice over: Secret data holds base64, its contents may again."""
    for piece in _BASE64.findall(text):
        try:
            data = base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_" if set("-_") & set(piece) else None)
        except (ValueError, binascii.Error):
            continue
        yield data.decode("utf-8", "replace")


@dataclass
class Recorder:
    """Sends requests and keeps every answer, headers included, by route."""

    url: str
    answers: list[tuple[str, str]] = field(default_factory=list)

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any) -> requests.Response:
        """``path`` is below /API and may have a query."""
        url = f"{self.url}/API/{path}"
        answer = requests.request(method, url, headers=dict(headers or {}), timeout=60, allow_redirects=False, **body)
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append((path.partition("?")[0], f"{head}\n{answer.text}"))
        return answer
