"""The one place where a failure becomes an answer (http-api.md 2.7)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from oc.errors import ODError, UnavailableError
from oc.web.answers import JSON_TYPE, Reply, encode
from oc.web.routing import MethodNotAllowedError

logger = logging.getLogger(__name__)
GENERIC = "Internal api server error"


def answer_error(error: BaseException, path: str) -> Reply:
    """``{"status": int, "message": text}`` and nothing else; details go to the log only."""
    if not isinstance(error, ODError):
        logger.error("%s: %s", path, GENERIC, exc_info=error)
        return refusal(500, GENERIC)
    status = error.status if isinstance(error.status, int) and 400 <= error.status <= 599 else 500
    if status >= 500 and not isinstance(error, UnavailableError):
        logger.error("%s: %s %s", path, error.doing or type(error).__name__, error.message, exc_info=error)
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = ", ".join(error.allow)
    if isinstance(error, UnavailableError) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return refusal(status, error.message or error.default_message, headers)


def refusal(status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
    """The answer that says why there is no other."""
    document = {"status": status, "message": message}
    return Reply(status, {"Content-Type": JSON_TYPE, **headers}, (encode(document),), document)
