"""Calls to an identity provider: bounded in time and size, without redirects, cookies or a netrc file."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote_plus, urlsplit

import msgspec
import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from oc.errors import ExternalAuthError

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 3.05
READ_SECONDS: Final = 8.0
TOTAL_SECONDS: Final = 12.0

MAX_ANSWER: Final = 512 * 1024
"""Largest answer read, in bytes after decompression."""

_CHUNK: Final = 64 * 1024
_USER_AGENT: Final = "pyos"


class ProviderUnreachableError(ExternalAuthError):
    """The identity provider did not answer, or not completely and in time."""

    default_message = "the identity provider does not answer"


class ProviderAnswerError(ExternalAuthError):
    """The identity provider answered something that cannot be used."""

    default_message = "the identity provider gave an unusable answer"


class Transport(Protocol):
    """How the parts of this package talk to a provider. Raises ExternalAuthError."""

    def get(self, url: str, *, bearer: str | None = None) -> ProviderAnswer: ...
    def post(self, url: str, form: Mapping[str, str], *, account: tuple[str, str] | None = None) -> ProviderAnswer: ...


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """An answer of a provider, read completely. ``repr`` shows no content: it may be a token."""

    status: int
    content_type: str
    body: bytes

    def __repr__(self) -> str:
        return f"ProviderAnswer(status={self.status}, {len(self.body)} bytes)"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()

    def document(self, what: str, encoding: str = "utf-8") -> dict[str, Any]:
        """The JSON object of the body; ``what`` names the answer in errors, ``encoding`` is for bodies that name none.

        Raises ProviderAnswerError.
        """
        try:
            value = msgspec.json.decode(self._text(encoding))
        except (ValueError, LookupError, RecursionError) as error:  # the first covers msgspec's and Unicode errors
            raise ProviderAnswerError(f"the identity provider's {what} is no JSON document") from error
        if not isinstance(value, dict):
            raise ProviderAnswerError(f"the identity provider's {what} is no JSON object")
        return value

    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body, as some providers answer token requests."""
        try:
            return dict(parse_qsl(self.body.decode("ascii"), max_num_fields=64))
        except ValueError as error:
            raise ProviderAnswerError("the identity provider's token answer cannot be read") from error

    def _text(self, encoding: str) -> bytes:
        _, _, charset = self.content_type.lower().partition("charset=")
        name = charset.partition(";")[0].strip().strip("\"'") or encoding
        if name.lower() in ("utf-8", "utf8"):
            return self.body
        return self.body.decode(name).encode()


class _Authorization(AuthBase):
    """Sets the header itself: requests would otherwise prefer an entry of the operator's netrc file."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request


class HttpTransport:
    """The real one. Each call has a connection of its own, so that nothing of one login reaches another.

    ca_file: certificates of a private authority, None for the usual ones. insecure: plain http is allowed.
    seconds: longest whole call, from the first byte sent to the last byte read.
    """

    def __init__(self, *, ca_file: str | None = None, insecure: bool = False, seconds: float = TOTAL_SECONDS) -> None:
        self._seconds = seconds
        self._verify: str | bool = ca_file or True
        self._insecure = insecure

    def get(self, url: str, *, bearer: str | None = None) -> ProviderAnswer:
        """GET a document. Raises ExternalAuthError."""
        return self._call("GET", url, None, _Authorization(f"Bearer {bearer}" if bearer is not None else None))

    def post(self, url: str, form: Mapping[str, str], *, account: tuple[str, str] | None = None) -> ProviderAnswer:
        """POST a form; ``account`` is sent as HTTP Basic, encoded as RFC 6749 2.3.1 says. Raises ExternalAuthError."""
        header = None
        if account is not None:
            pair = f"{quote_plus(account[0])}:{quote_plus(account[1])}"
            header = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return self._call("POST", url, form, _Authorization(header))

    def _call(self, method: str, url: str, form: Mapping[str, str] | None, auth: AuthBase) -> ProviderAnswer:
        if not secure_enough(url, insecure=self._insecure):
            raise ProviderAnswerError("the identity provider names an address that is not https", doing=_shown(url))
        end = time.monotonic() + self._seconds
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT, "Connection": "close"}
        try:
            with (
                requests.Session() as session,
                session.request(
                    method,
                    url,
                    data=form,
                    headers=headers,
                    auth=auth,
                    timeout=(CONNECT_SECONDS, min(READ_SECONDS, self._seconds)),
                    allow_redirects=False,
                    stream=True,
                    verify=self._verify,
                ) as response,
            ):
                body = _read(response, end)
                return ProviderAnswer(response.status_code, response.headers.get("Content-Type", ""), body)
        except (requests.RequestException, OSError, ValueError) as error:
            # the text of the error may quote the address with its query, which is not for users
            logger.error("%s %s: %s", method, _shown(url), type(error).__name__)
            raise ProviderUnreachableError(doing=f"{method} {_shown(url)}") from error


def _read(response: requests.Response, end: float) -> bytes:
    """The decoded body. Raises ProviderAnswerError when it is too large, TimeoutError when it takes too long."""
    body = bytearray()
    try:
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if len(body) > MAX_ANSWER:
                raise ProviderAnswerError("the identity provider's answer is too large")
            if time.monotonic() > end:
                raise TimeoutError("the answer takes too long")
    except HTTPError as error:
        raise OSError(type(error).__name__) from error
    return bytes(body)


def secure_enough(url: str, *, insecure: bool) -> bool:
    """Whether ``url`` may carry codes and tokens: https, or http where the configuration allows it. No fragment."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and parts.username is None and not parts.fragment
    except ValueError:
        return False
    return usable and len(url) <= 2048 and parts.scheme in (("https", "http") if insecure else ("https",))


def _shown(url: str) -> str:
    """An address as logs may hold it: without query."""
    return "".join(character for character in url.partition("?")[0][:200] if character.isprintable())
