"""One record a request in the log ``cherrypy.access``: Apache's combined format, its time left to the formatter."""

from __future__ import annotations

import logging

from oc.web.answers import Reply
from oc.web.call import Call

logger = logging.getLogger("cherrypy.access")


def log_access(call: Call, target: str, protocol: str, reply: Reply) -> None:
    """Log one answered request. target: the requested path; its query may carry codes and keys and is left out."""
    if not logger.isEnabledFor(logging.INFO):
        return
    size = reply.length if reply.has_body else "-"
    request = _escaped(f"{call.method} {target} {protocol}")
    referer, agent = _escaped(call.headers.get("Referer", "")), _escaped(call.headers.get("User-Agent", ""))
    logger.info('%s - -  "%s" %d %s "%s" "%s"', call.peer[0], request, reply.status, size, referer, agent)


def _escaped(text: str) -> str:
    """What is not printable ASCII as the bytes of its UTF-8 in hexadecimal, quotes with a backslash, as Apache does."""
    if text.isascii() and text.isprintable() and '"' not in text:
        return text
    return repr(text.replace('"', '\\"').encode("utf-8", "surrogateescape"))[2:-1].replace("\\\\", "\\")
