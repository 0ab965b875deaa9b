"""Log records that say who, from where, and on which node (services.md 10).

Configuration files name classes of this module by path, ``oc.logging.OdContextFilter`` above all, so its classes keep
their names and arguments, and it imports nothing of the product but what writes the lines.
"""

from __future__ import annotations

import contextlib
import logging
import logging.config
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

from oc.logwriting import LineHandler, with_line_handlers

BOOTSTRAP_FORMAT = "%(asctime)s [%(levelname)-7s] %(name)s.%(funcName)s: %(message)s"
FALLBACK_FORMAT = (
    "%(asctime)s %(nodename)s %(thread)d %(module)s [%(levelname)-7s] %(name)s.%(funcName)s:%(userid)s %(message)s"
)
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
_BOOTSTRAP_NAME = "pyos-bootstrap"
#: Control characters, separators of lines, marks that turn the direction of text, halves of surrogate pairs.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
#: Libraries whose DEBUG records hold what they carry: documents, tokens, passwords, bodies.
TALKATIVE = ("pymongo", "oauthlib", "requests_oauthlib", "ldap3", "kubernetes", "urllib3", "websocket", "pymemcache")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogContext:
    """What a record says about the request it was made in."""

    userid: str
    ipaddr: str


_OUTSIDE = LogContext(userid="internal", ipaddr="localhost")
_context: ContextVar[LogContext] = ContextVar("pyos_log_context", default=_OUTSIDE)


def enter_context(userid: str, ipaddr: str) -> Token[LogContext]:
    """Name the request of this thread for its records; give the token to ``leave_context``."""
    return _context.set(LogContext(_one_line(userid), _one_line(ipaddr)))


def leave_context(token: Token[LogContext] | None = None) -> None:
    """End what ``enter_context`` began. Never raises."""
    if token is None:
        _context.set(_OUTSIDE)
        return
    try:
        _context.reset(token)
    except ValueError:
        _context.set(_OUTSIDE)


@contextlib.contextmanager
def log_context(userid: str, ipaddr: str) -> Iterator[None]:
    """Name a user for the records of a block, for instance in a background thread."""
    token = enter_context(userid, ipaddr)
    try:
        yield
    finally:
        leave_context(token)


class OdContextFilter(logging.Filter):
    """Adds ``nodename``, ``hostname``, ``userid`` and ``ipaddr`` to each record. Rejects none, never raises or logs.

    Control characters in a message are escaped: what users and servers said must not make lines of its own, nor
    colours. CherryPy's own records keep their lines, they are stacks.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        host = _host_name()
        self._nodename = os.environ.get("NODE_NAME") or host
        self._hostname = os.environ.get("HOSTNAME") or host

    def filter(self, record: logging.LogRecord) -> bool:
        context = _context.get()
        record.nodename = self._nodename
        record.hostname = self._hostname
        record.userid = context.userid
        record.ipaddr = context.ipaddr
        _escape(record)
        return True


def _escape(record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError, IndexError):
        return  # the handler reports a record whose arguments do not fit
    unsafe = _UNSAFE_BUT_LINES if record.name.startswith("cherrypy.error") else _UNSAFE
    if unsafe.search(text):
        record.msg = unsafe.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)
        record.args = ()


def bootstrap_logging() -> None:
    """Records of the product go to stderr until the configuration is applied."""
    handler = LineHandler(sys.stderr)
    handler.set_name(_BOOTSTRAP_NAME)
    handler.setFormatter(logging.Formatter(BOOTSTRAP_FORMAT))
    root = logging.getLogger()
    _remove_bootstrap(root)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def configure_logging(document: Mapping[str, Any] | None) -> bool:
    """Apply a ``dictConfig`` document; anything wrong with it is CRITICAL on the console and does not stop the boot.

    Returns whether the document is in force. Without one, records go to the console.
    """
    if document is None:
        _console()
        return False
    try:
        logging.config.dictConfig({"disable_existing_loggers": False, **with_line_handlers(document)})
    except (ValueError, TypeError, AttributeError, ImportError, KeyError, OSError) as error:
        _console()
        logger.critical("the logging configuration cannot be applied, logging to the console: %s", _reason(error))
        return False
    _remove_bootstrap(logging.getLogger())
    _hush()
    return True


def _hush() -> None:
    """Keep what passes through libraries out of the log, whatever level a configuration gives the root."""
    for name in TALKATIVE:
        family = [one for one in logging.Logger.manager.loggerDict if one == name or one.startswith(f"{name}.")]
        for one in (name, *family):
            logger = logging.getLogger(one)
            if logger.getEffectiveLevel() < logging.INFO:
                logger.setLevel(logging.INFO)


def _console() -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            root.removeHandler(handler)
    handler = LineHandler(sys.stderr)
    handler.addFilter(OdContextFilter())
    handler.setFormatter(logging.Formatter(FALLBACK_FORMAT, DATE_FORMAT))
    handler.set_name(_BOOTSTRAP_NAME)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in ("urllib3", "kubernetes", "pymongo", "cherrypy", "requests_oauthlib"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _remove_bootstrap(root: logging.Logger) -> None:
    for handler in list(root.handlers):
        if handler.get_name() == _BOOTSTRAP_NAME:
            root.removeHandler(handler)
            handler.close()


def _reason(error: BaseException) -> str:
    """What dictConfig says with the cause it hides; its own text names the faulty handler."""
    cause = error.__cause__ or error.__context__
    return f"{error}: {cause}" if cause is not None and str(cause) not in str(error) else str(error)


def _one_line(text: str) -> str:
    text = text[:256]
    return text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)


def _host_name() -> str:
    try:
        return socket.gethostname()
    except OSError:
        return "localhost"


class MongoHandler(logging.Handler):
    """Inserts one document a record into MongoDB. Optional; kept for configuration files of the 3.x line.

    mapping: document field -> record attribute. A database that is away costs a second at most, then records are
    dropped until 30 s have passed.
    """

    DEFAULT_MAPPING: Mapping[str, str] = {"created": "created", "message": "message", "level": "levelname"}

    def __init__(
        self,
        address: str = "localhost",
        port: int | str = 27017,
        database: str = "logging",
        collection: str = "log",
        login: str | None = None,
        password: str | None = None,
        mapping: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        import pymongo

        self._mapping = dict(mapping or self.DEFAULT_MAPPING)
        account: dict[str, Any] = {"username": login, "password": password, "authSource": database} if login else {}
        self._client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            address,
            int(port),
            **account,
            serverSelectionTimeoutMS=1000,
            connectTimeoutMS=1000,
            socketTimeoutMS=2000,
        )
        self.collection = self._client[database][collection]
        self.silent_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        # The driver logs too: its records must not come back here.
        if record.name.startswith("pymongo") or record.created < self.silent_until:
            return
        from pymongo.errors import PyMongoError

        try:
            record.message = record.getMessage()
            self.collection.insert_one({key: getattr(record, name, None) for key, name in self._mapping.items()})
        except PyMongoError:
            self.silent_until = record.created + 30.0
        except (TypeError, ValueError):
            self.handleError(record)

    def close(self) -> None:
        self._client.close()
        super().close()
