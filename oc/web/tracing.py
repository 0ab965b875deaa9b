"""One INFO record before a handler and one after the answer (http-api.md 2.13, services.md 1.6)."""

from __future__ import annotations

import logging

from oc.web.answers import Reply
from oc.web.call import Call
from oc.web.exposing import METHODS_WITH_BODY, Route
from oc.web.redaction import traced

logger = logging.getLogger(__name__)


def trace_request(call: Call, route: Route, document: object, limit: int) -> None:
    """Log the path and, when the route reads one, the redacted body."""
    if not route.trace or not logger.isEnabledFor(logging.INFO):
        return
    if route.body is None or call.method not in METHODS_WITH_BODY:
        logger.info("%s", call.path)
    else:
        logger.info("%s %s", call.path, traced(document, limit))


def trace_response(call: Call, route: Route | None, reply: Reply, limit: int) -> None:
    """Log the path and the redacted answer; content that is not JSON shows as its size."""
    if call.notrace or (route is not None and not route.trace) or not logger.isEnabledFor(logging.INFO):
        return
    if reply.value is None and reply.length:
        text = f"[{reply.length} bytes of {reply.headers.get('Content-Type', 'unknown type')}]"
    else:
        text = traced(reply.value, limit)
    logger.info("%s %d %s", call.path, reply.status, text)
