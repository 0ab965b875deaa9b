"""The page that hands a token to the web front end after a login that no JavaScript waited for (spec auth.md 2.4).

Its template is a file of the installation: an operator may have replaced it. It gets ``loginScreencss_url``,
``jwt_user_token`` and ``default_host_url``.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import chevron

TEMPLATE_FILE: Final = "redirect.mustache.html"
STYLE_URL: Final = "../../css/css-dist/loginScreen.css"
HOME: Final = "/"
REFRESH_SECONDS: Final = 5
CONTENT_TYPE: Final = "text/html;charset=utf-8"
MAX_TEMPLATE: Final = 1024 * 1024

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")
_INLINE_SCRIPT: Final = re.compile(rb"<script(?![^>]*\ssrc\s*=)[^>]*>(.*?)</script\s*>", re.IGNORECASE | re.DOTALL)
_HOST_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?")
_ERROR_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
  <head><meta charset="utf-8"><title>Sign-in failed</title></head>
  <body>
    <h1>Sign-in failed</h1>
    <p role="alert">{message}</p>
    <p><a href="/">Back to the sign-in page</a></p>
  </body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the headers that go with it. Its text may hold a token."""

    body: str = field(repr=False)
    headers: dict[str, str]


class RedirectPage:
    """Renders the page. ``default_host_url`` is where the ``Refresh`` header leads, ``/`` when it is not usable there.

    Nothing of a request decides where the page leads.
    """

    def __init__(self, template: str, default_host_url: str | None = None) -> None:
        self._template = template
        usable = default_host_url is not None and _HOST_URL.fullmatch(default_host_url)
        self._refresh = default_host_url if usable else HOME

    @classmethod
    def load(cls, directory: Path, default_host_url: str | None = None) -> RedirectPage:
        """Read the template in ``directory``. Raises OSError or UnicodeDecodeError."""
        with (directory / TEMPLATE_FILE).open("rb") as file:
            # browsers hash scripts with plain line ends, whatever the file has
            template = file.read(MAX_TEMPLATE).decode("utf-8").replace("\r\n", "\n")
        return cls(template, default_host_url)

    def render(self, token: str) -> Page:
        """The page for a user token. Raises ValueError for a text that is no compact JWS."""
        if not _TOKEN.fullmatch(token):
            raise ValueError("not a token")
        values = {"loginScreencss_url": STYLE_URL, "jwt_user_token": token, "default_host_url": HOME}
        body = chevron.render(self._template, values)
        return Page(
            body,
            {
                **_SAFE_HEADERS,
                "Content-Security-Policy": _policy(body),
                "Refresh": f"{REFRESH_SECONDS}; url={self._refresh}",
            },
        )


_SAFE_HEADERS: Final = {
    "Cache-Control": "no-cache, private",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def error_page(message: str) -> Page:
    """A page that tells a person why a login failed and leads back."""
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return Page(_ERROR_PAGE.format(message=html.escape(message)), {**_SAFE_HEADERS, "Content-Security-Policy": policy})


def _policy(body: str) -> str:
    """Scripts of this site and the page's own inline scripts, named by their hashes (CSP level 2)."""
    digests = (hashlib.sha256(found.group(1)).digest() for found in _INLINE_SCRIPT.finditer(body.encode()))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def wants_page(accept: str) -> bool:
    """Whether the ``Accept`` header of a request prefers ``text/html`` to JSON, as a browser's does."""
    best: dict[str, float] = {}
    for part in accept[:1024].lower().split(","):
        name, _, parameters = part.partition(";")
        match = re.search(r"(?:^|;)\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", parameters)
        best[name.strip()] = max(best.get(name.strip(), 0.0), float(match.group(1)) if match else 1.0)
    page = best.get("text/html", 0.0)
    return page > 0 and page >= best.get("application/json", 0.0)
