"""Logging: context of records, bootstrap, dictConfig and its fall-back (services.md 10)."""

from __future__ import annotations

import ast
import importlib
import json
import logging
import logging.config
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from devstack.stack import Stack
from oc.logging import (
    MongoHandler,
    OdContextFilter,
    bootstrap_logging,
    configure_logging,
    enter_context,
    leave_context,
    log_context,
)

STANDARD = (
    "%(asctime)s %(nodename)s %(thread)d %(module)s [%(levelname)-7s] %(name)s.%(funcName)s:%(userid)s %(message)s"
)

SYSLOG = (
    "%(asctime)s %(nodename)s %(thread)s %(levelname)s %(module)s %(process)d "
    "%(name)s.%(funcName)s:%(userid)s %(message)s"
)
GRAYLOG = "%(levelname)s %(nodename)s %(thread)s %(module)s %(process)d %(name)s.%(funcName)s:%(userid)s %(message)s"
NODE = os.environ.get("NODE_NAME") or socket.gethostname()


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("urllib3", "kubernetes", "pymongo", "cherrypy")}
    yield
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)
    leave_context()


def filtered() -> logging.LogRecord:
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, "text", None, None)
    assert OdContextFilter().filter(record) is True
    return record


def test_the_filter_is_importable_by_its_path_without_arguments():
    cls = importlib.import_module("oc.logging").OdContextFilter
    assert cls().filter(logging.LogRecord("x", 20, "f", 1, "m", None, None)) is True


def test_outside_a_request_a_record_is_internal():
    record = filtered()
    assert (record.userid, record.ipaddr) == ("internal", "localhost")


def test_inside_a_request_a_record_names_user_and_address():
    with log_context("fry", "203.0.113.9"):
        record = filtered()
        assert (record.userid, record.ipaddr) == ("fry", "203.0.113.9")
    assert filtered().userid == "internal"


def test_a_context_belongs_to_its_thread():
    seen: list[str] = []
    with log_context("fry", "203.0.113.9"):
        thread = threading.Thread(target=lambda: seen.append(filtered().userid))
        thread.start()
        thread.join()
    assert seen == ["internal"]


def test_a_user_id_cannot_forge_a_record():
    with log_context("fry\n2026-01-01 CRITICAL", "1.2.3.4"):
        assert "\n" not in filtered().userid
    with log_context("x" * 10_000, "1.2.3.4"):
        assert len(filtered().userid) <= 256


def test_leaving_a_context_twice_is_harmless():
    token = enter_context("fry", "1.2.3.4")
    leave_context(token)
    leave_context()
    assert filtered().userid == "internal"


def test_the_node_name_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NODE_NAME", "node7")
    assert filtered().nodename == "node7"
    monkeypatch.delenv("NODE_NAME")
    assert filtered().nodename == socket.gethostname()


def test_the_standard_format_can_be_applied(capsys):
    document = {
        "version": 1,
        "filters": {"odcontext": {"()": "oc.logging.OdContextFilter"}},
        "formatters": {"standard": {"format": STANDARD}},
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "standard",
                "filters": ["odcontext"],
            }
        },
        "loggers": {"od.test": {"handlers": ["out"], "level": "INFO", "propagate": False}},
    }
    assert configure_logging(document) is True
    logging.getLogger("od.test").info("hello")
    assert capsys.readouterr().out.rstrip().endswith("internal hello")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 2},
        {"version": 1, "handlers": {"x": {"class": "no.such.Class"}}},
        {"version": 1, "handlers": {"x": {"class": "logging.FileHandler", "filename": "/no/such/directory/x"}}},
        {"version": 1, "root": {"handlers": ["absent"]}},
        {"version": 1, "handlers": {"x": {"class": "logging.StreamHandler", "level": "NOISY"}}},
    ],
)
def test_a_document_that_cannot_be_applied_is_critical_and_logs_to_the_console(document, capsys):
    bootstrap_logging()
    assert configure_logging(document) is False
    assert "CRITICAL" in capsys.readouterr().err
    logging.getLogger("od.test2").warning("still logging")
    assert "still logging" in capsys.readouterr().err


def test_without_a_document_records_go_to_the_console(capsys):
    assert configure_logging(None) is False
    logging.getLogger("od.test3").info("here")
    assert "here" in capsys.readouterr().err


def test_the_bootstrap_handler_leaves_when_the_configuration_is_applied(capsys):
    bootstrap_logging()
    null = {"null": {"class": "logging.NullHandler"}}
    assert configure_logging({"version": 1, "handlers": null, "root": {"handlers": ["null"], "level": "INFO"}})
    logging.getLogger("od.test4").error("unseen")
    assert "unseen" not in capsys.readouterr().err


def test_the_bootstrap_handler_is_there_once(capsys):
    bootstrap_logging()
    bootstrap_logging()
    logging.getLogger("od.test5").warning("a single line")
    assert capsys.readouterr().err.count("a single line") == 1


@pytest.mark.parametrize("name", ["od.config.3.3", "od.config.4.1", "od.config.4.4"])
def test_the_logging_key_of_a_published_configuration_can_be_applied(name, tmp_path, monkeypatch):
    path = Path(__file__).parents[3] / "shared" / "data" / "config" / name
    if not path.is_file():
        pytest.skip("the sample configurations are not there")
    from oc.od.settings.reader import read_file

    document = read_file(path).values["logging"]
    assert isinstance(document, dict)
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    loggers = list(document.get("loggers", {}))
    try:
        assert configure_logging(document) is True
    finally:
        for logger in (logging.getLogger(one) for one in loggers):
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()
            logger.propagate = True
            logger.setLevel(logging.NOTSET)


def log_once(handler: dict[str, Any], text: str) -> None:
    """One record of user fry through a handler that a configuration file describes, closed afterwards."""
    document: dict[str, Any] = {
        "version": 1,
        "filters": {"odcontext": {"()": "oc.logging.OdContextFilter"}},
        "formatters": {"syslog": {"format": SYSLOG}, "graylog": {"format": GRAYLOG}},
        "handlers": {"one": {"filters": ["odcontext"], "level": "INFO", **handler}},
        "loggers": {"od.sent": {"handlers": ["one"], "level": "INFO", "propagate": False}},
    }
    assert configure_logging(document) is True
    logger = logging.getLogger("od.sent")
    with log_context("fry", "203.0.113.9"):
        logger.info("%s", text)
    for one in list(logger.handlers):
        logger.removeHandler(one)
        one.close()


def received(listener: socket.socket) -> bytes:
    """Everything one client sends until it closes."""
    listener.settimeout(5)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    return data


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_graylog_over_udp_gets_the_context_as_additional_fields():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as graylog:
        graylog.bind(("127.0.0.1", 0))
        graylog.settimeout(5)
        port = graylog.getsockname()[1]
        log_once({"class": "graypy.GELFUDPHandler", "host": "127.0.0.1", "port": port}, "to graylog")
        message = json.loads(zlib.decompress(graylog.recv(65536)))
    assert message["short_message"] == "to graylog"
    assert (message["_userid"], message["_ipaddr"]) == ("fry", "203.0.113.9")


def test_graylog_over_tcp_takes_the_port_as_text_and_gets_one_message_a_record(listener: socket.socket):
    port = str(listener.getsockname()[1])  # as shipped files have it
    handler = {"class": "graypy.GELFTCPHandler", "host": "127.0.0.1", "port": port, "formatter": "graylog"}
    log_once(handler, "zwölf € to graylog")
    data = received(listener)
    assert data.endswith(b"\0")
    message = json.loads(data[:-1])
    assert message["short_message"].endswith("od.sent.log_once:fry zwölf € to graylog")
    assert (message["_userid"], message["_nodename"], message["_ipaddr"]) == ("fry", NODE, "203.0.113.9")


def test_a_graylog_that_is_away_costs_no_request(listener: socket.socket, capsys):
    port = listener.getsockname()[1]
    listener.close()
    log_once({"class": "graypy.GELFTCPHandler", "host": "127.0.0.1", "port": port}, "lost")
    assert "Traceback (most recent call last)" not in capsys.readouterr().out


def test_syslog_over_udp_gets_the_documented_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(5)
        address = ["127.0.0.1", syslog.getsockname()[1]]
        log_once(
            {
                "class": "logging.handlers.SysLogHandler",
                "formatter": "syslog",
                "address": address,
                "facility": "local3",
            },
            "to syslog",
        )
        line = syslog.recv(65536).decode()
    assert line.startswith("<158>")  # local3.info (RFC 3164, 4.1.1)
    assert f" {NODE} " in line
    assert line.rstrip("\0").endswith("od.sent.log_once:fry to syslog")


def test_syslog_over_tcp_as_published_configurations_have_it(listener: socket.socket):
    handler = {
        "class": "logging.handlers.SysLogHandler",
        "formatter": "syslog",
        "socktype": socket.SOCK_STREAM,
        "address": list(listener.getsockname()),
    }
    log_once(handler, "to syslog")
    assert received(listener).decode().rstrip("\0").endswith(":fry to syslog")


def test_the_mongo_handler_drops_records_while_its_database_is_away():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = MongoHandler("127.0.0.1", str(port), "logs", "records")
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, "text %s", ("a",), None)
    try:
        handler.handle(record)
        later = logging.LogRecord("x", logging.INFO, "f.py", 1, "again", None, None)
        later.created = record.created + 1
        handler.handle(later)  # within the silence: no second time-out
    finally:
        handler.close()
    assert handler.silent_until == pytest.approx(record.created + 30)


def test_the_mongo_handler_inserts_one_document_a_record(stack: Stack):
    pieces = urlsplit(stack.mongodb_url or "")
    arguments = {"login": pieces.username, "password": pieces.password} if pieces.username else {}
    handler = MongoHandler(str(pieces.hostname), pieces.port or 27017, "desktop", "records", **arguments)
    try:
        handler.handle(logging.LogRecord("x", logging.WARNING, "f.py", 1, "text %s", ("a",), None))
        found = handler.collection.find_one({})
    finally:
        handler.close()
    assert found is not None
    assert (found["message"], found["level"]) == ("text a", "WARNING")
    assert isinstance(found["created"], float)


def test_the_logging_modules_import_nothing_of_the_product():
    names = set()
    for module in ("logging", "logwriting"):
        source = (Path(__file__).parents[2] / "oc" / f"{module}.py").read_text()
        names |= {node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {name for name in names if name.startswith(("oc", "controllers"))} == {"oc.logwriting"}


@pytest.mark.parametrize(
    "name", ["pymongo.command", "oauthlib.oauth2", "urllib3.connectionpool", "kubernetes.client.rest"]
)
def test_libraries_never_log_what_passes_through_them(name, capsys):
    document = {
        "version": 1,
        "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
        "loggers": {name: {"level": "DEBUG"}},
        "root": {"level": "DEBUG", "handlers": ["out"]},
    }
    assert configure_logging(document) is True
    logging.getLogger(name).debug("secret document")
    logging.getLogger(name).warning("the server is away")
    logging.getLogger("controllers").debug("detail of ours")
    logging.getLogger(name).setLevel(logging.NOTSET)
    out = capsys.readouterr().out
    assert "secret document" not in out
    assert "the server is away" in out
    assert "detail of ours" in out


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "fry\n2026-05-05 12:00:00 node [INFO   ] login of leela",
            "fry\\n2026-05-05 12:00:00 node [INFO   ] login of leela",
        ),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\rb\tc\x00", "a\\rb\\tc\\x00"),
        (
            "csi \x9b31m, line \u2028, turned \u202e, half \ud800",
            "csi \\x9b31m, line \\u2028, turned \\u202e, half \\ud800",
        ),
        ("Zo\u00eb \U0001f680 100 %s", "Zo\u00eb \U0001f680 100 %s"),
    ],
)
def test_what_users_say_stays_in_one_line_without_colours(said: str, shown: str):
    record = logging.LogRecord("oc.test", logging.INFO, __file__, 1, "login of %s refused", (said,), None)
    assert OdContextFilter().filter(record) is True
    assert record.getMessage() == f"login of {shown} refused"


def test_stacks_of_cherrypy_keep_their_lines():
    record = logging.LogRecord("cherrypy.error", logging.ERROR, __file__, 1, "ENGINE\nTraceback\n\x1b[1m", None, None)
    OdContextFilter().filter(record)
    assert record.getMessage() == "ENGINE\nTraceback\n\\x1b[1m"


def test_a_record_whose_arguments_do_not_fit_is_left_to_the_handler():
    record = logging.LogRecord("oc.test", logging.INFO, __file__, 1, "%s %s", ("one",), None)
    assert OdContextFilter().filter(record) is True
    with pytest.raises(TypeError):
        record.getMessage()
