"""The page of ``auth.prelogin`` (spec auth.md 6.2): a front service announces a user, who gets a login page of the own.

The page's template is fetched from the web front end; its session is kept in the shared cache for PreloginGate.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from urllib.parse import unquote

import chevron
import requests

from oc.auth.prelogin import PreloginGate, PreloginSettings
from oc.errors import BadRequestError, UnavailableError
from oc.model.identity import ClientInfo

logger = logging.getLogger(__name__)

MAX_TEMPLATE: Final = 1024 * 1024
MAX_USER: Final = 256
CONNECT_SECONDS: Final = 3.0
FETCH_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 5.0
"""How long a failed fetch is not repeated: a web site that hangs must not hold every thread."""

BASE_URL: Final = "../.."
DEFAULT_LIFETIME: Final = 120
DEFAULT_LOADING: Final = 5
SHORTEST: Final = 5


class PreloginDeniedError(BadRequestError):
    """The request comes from where no prelogin is needed. Counts for fail2ban."""

    default_message = "prelogin service is denied, invalid request parameters"


class PageSettings(PreloginSettings, Protocol):
    """What is read of the configuration key ``auth.prelogin``."""

    @property
    def http_attribut(self) -> str | None: ...
    @property
    def maxprelogintimeout(self) -> int: ...
    @property
    def timetoloadthewebpage(self) -> int: ...


class SessionWriter(Protocol):
    """The part of the shared cache that sessions are written to."""

    def set(self, key: str, value: str, ttl: int) -> bool: ...


class PreloginPage:
    """Makes sessions and their pages. Thread-safe; the template is fetched once it is needed, and kept."""

    def __init__(
        self,
        settings: PageSettings,
        store: Callable[[], SessionWriter],
        fetch: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._gate = PreloginGate(settings, lambda: None)
        self._store = store
        self._fetch = fetch or fetch_template
        self._clock = clock
        self._lock = threading.Lock()
        self._template = ""
        self._not_before = float("-inf")

    def announce(self, client: ClientInfo, headers: Mapping[str, str], parameters: Mapping[str, object]) -> str:
        """The login page for the user a front service names. headers: names in lower case.

        Raises BadRequestError (PreloginDeniedError counts for fail2ban), UnavailableError without the shared cache.
        """
        if not self._gate.enabled:
            raise BadRequestError("prelogin service is disabled in configuration file")
        if not self._gate.needed(client, headers):
            raise PreloginDeniedError(doing="announce a user")
        userid = self._userid(headers, parameters)
        template = self._page_template()
        lifetime, loading = self._times()
        session = str(uuid.uuid4())
        if not self._store().set(session, userid, lifetime):
            raise UnavailableError("prelogin sessions are not available", doing="keep a prelogin session")
        values = {
            "base_url": BASE_URL,
            "loginsessionid": session,
            "cuid": userid,
            "refresh_timeout": str(lifetime - loading),
        }
        page: str = chevron.render(template, values)
        return page

    def _userid(self, headers: Mapping[str, str], parameters: Mapping[str, object]) -> str:
        """A configured header goes before the parameter. Raises BadRequestError."""
        name = self._settings.http_attribut
        given: object = headers.get(name.lower()) if name else None
        given = unquote(given) if isinstance(given, str) else parameters.get("userid")
        if not isinstance(given, str) or not given or len(given) > MAX_USER or not given.isprintable():
            raise BadRequestError("invalid userid request parameter", doing="announce a user")
        return given

    def _times(self) -> tuple[int, int]:
        """Lifetime of a session and time a browser needs to load the page, in seconds."""
        lifetime, loading = self._settings.maxprelogintimeout, self._settings.timetoloadthewebpage
        return (lifetime, loading) if lifetime - loading >= SHORTEST else (DEFAULT_LIFETIME, DEFAULT_LOADING)

    def _page_template(self) -> str:
        with self._lock:
            if not self._template and self._clock() >= self._not_before:
                self._template = self._fetch(self._settings.url or "")
                self._not_before = self._clock() + RETRY_SECONDS
            if not self._template:
                raise BadRequestError("Configuration file error, prelogin url fetch failed", doing="make a login page")
            return self._template


def fetch_template(url: str) -> str:
    """The page at ``url``, ``""`` when it cannot be fetched. TLS certificates are verified, redirects not followed."""
    end = time.monotonic() + FETCH_SECONDS
    try:
        with requests.get(
            url, timeout=(CONNECT_SECONDS, FETCH_SECONDS), allow_redirects=False, stream=True
        ) as response:
            if response.status_code != 200:
                logger.error("auth.prelogin.url answers with status %d", response.status_code)
                return ""
            data = b""
            for piece in response.iter_content(64 * 1024):
                data += piece
                if len(data) > MAX_TEMPLATE or time.monotonic() > end:
                    logger.error("auth.prelogin.url: the page is larger than %d bytes or too slow", MAX_TEMPLATE)
                    return ""
    except (requests.RequestException, OSError) as error:
        logger.error("auth.prelogin.url cannot be fetched: %s", type(error).__name__)
        return ""
    return data.decode("utf-8", "replace")
