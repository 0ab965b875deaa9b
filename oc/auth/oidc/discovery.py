"""What a provider says about itself (OpenID Connect Discovery 1.0, RFC 8414), kept and renewed in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oc.auth.oidc.transport import ProviderAnswerError, Transport, secure_enough
from oc.errors import ExternalAuthError

logger = logging.getLogger(__name__)

WELL_KNOWN: Final = "/.well-known/openid-configuration"
FRESH_SECONDS: Final = 3600.0
RETRY_SECONDS: Final = 30.0
"""After a failure the provider is left alone for this long."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of a provider; ``""`` for those it has not.

    issuer: the value of ``iss`` in its tokens. issuer_in_answer: its answers always carry ``iss`` (RFC 9207).
    """

    issuer: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    jwks_uri: str = ""
    issuer_in_answer: bool = False


def read_metadata(document: Mapping[str, Any], issuer: str, *, insecure: bool) -> Metadata:
    """Check a discovery document. ``issuer`` is the one it must have. Raises ProviderAnswerError."""
    if document.get("issuer") != issuer:
        raise ProviderAnswerError("the discovery document belongs to another issuer")
    endpoints: dict[str, str] = {}
    for key in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        value = document.get(key, "")
        if value and not (isinstance(value, str) and secure_enough(value, insecure=insecure)):
            raise ProviderAnswerError(f"the discovery document has an unusable {key}")
        endpoints[key] = value or ""
    return Metadata(
        issuer=issuer,
        issuer_in_answer=document.get("authorization_response_iss_parameter_supported") is True,
        **endpoints,
    )


class Discovery:
    """The discovery document at ``url``, fetched when first asked for and renewed every hour.

    A stale document stays in use while it is renewed and while the provider is away. Thread-safe.
    issuer: what the document must say; clock: monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        issuer: str,
        transport: Transport,
        *,
        insecure: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._issuer = issuer
        self._transport = transport
        self._insecure = insecure
        self._clock = clock
        self._condition = threading.Condition()
        self._metadata: Metadata | None = None
        self._next_fetch: float | None = None
        self._fetching = False

    def current(self, wait: float) -> Metadata | None:
        """The document, None when there is none yet and none comes within ``wait`` seconds."""
        with self._condition:
            due = self._next_fetch is None or self._clock() >= self._next_fetch
            if due and not self._fetching:
                self._fetching = True
                threading.Thread(target=self._fetch, name="oidc-discovery", daemon=True).start()
            if self._metadata is None:
                self._condition.wait_for(lambda: not self._fetching, timeout=wait)
            return self._metadata

    def _fetch(self) -> None:
        found: Metadata | None = None
        try:
            answer = self._transport.get(self._url)
            if not answer.ok:
                raise ProviderAnswerError(f"the discovery document is refused with status {answer.status}")
            found = read_metadata(answer.document("discovery document"), self._issuer, insecure=self._insecure)
        except ExternalAuthError as error:
            logger.error("discovery of %s: %s", self._issuer[:200], error)
        finally:
            with self._condition:
                self._fetching = False
                self._metadata = found or self._metadata
                self._next_fetch = self._clock() + (FRESH_SECONDS if found else RETRY_SECONDS)
                self._condition.notify_all()
