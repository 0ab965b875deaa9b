"""Log lines that do not wait for one another: whole, in order, none lost when files change."""

from __future__ import annotations

import gc
import io
import logging
import logging.handlers
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oc.logwriting import LineHandler, RotatingLineHandler, with_line_handlers


def tell(handler: logging.Handler, text: str) -> None:
    handler.handle(logging.LogRecord("pyos", logging.INFO, __file__, 1, text, None, None))


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Where it is read, and a stream that writes to it."""
    source, sink = os.pipe()
    with open(sink, "w") as stream:
        yield source, stream
    os.close(source)


def lines_of(*paths: Path) -> list[str]:
    return [line for path in paths for line in path.read_text().splitlines()]


def test_a_line_is_written_while_another_thread_keeps_the_handlers_lock(pipe: tuple[int, io.TextIOWrapper]) -> None:
    source, stream = pipe
    handler = LineHandler(stream)
    kept, go_on = threading.Event(), threading.Event()

    def keep() -> None:
        with handler.lock:  # type: ignore[union-attr]  # every handler has one
            kept.set()
            go_on.wait(10)

    thread = threading.Thread(target=keep)
    thread.start()
    kept.wait(10)
    tell(handler, "said")
    assert os.read(source, 100) == b"said\n"
    go_on.set()
    thread.join()


def test_lines_of_many_threads_stay_whole(pipe: tuple[int, io.TextIOWrapper]) -> None:
    source, stream = pipe
    handler = LineHandler(stream)
    texts = [f"{number} " + chr(97 + number) * 1000 for number in range(8)]
    received = b""
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(lambda text=text: [tell(handler, text) for _ in range(20)]) for text in texts]
        while received.count(b"\n") < 160:
            received += os.read(source, 65536)
        assert all(job.result() for job in jobs)
    assert sorted(received.decode().splitlines()) == sorted(texts * 20)


def test_a_line_longer_than_the_pipe_arrives_in_full(pipe: tuple[int, io.TextIOWrapper]) -> None:
    source, stream = pipe
    received = b""
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(tell, LineHandler(stream), "x" * 300_000)
        while not received.endswith(b"\n"):
            received += os.read(source, 65536)
        job.result()
    assert received == b"x" * 300_000 + b"\n"


def test_a_stream_that_is_no_file_is_written_too() -> None:
    stream = io.StringIO()
    tell(LineHandler(stream), "said")
    assert stream.getvalue() == "said\n"


def test_a_filter_may_refuse_a_record(pipe: tuple[int, io.TextIOWrapper]) -> None:
    source, stream = pipe
    handler = LineHandler(stream)
    handler.addFilter(lambda record: "secret" not in record.msg)
    tell(handler, "secret")
    tell(handler, "said")
    assert os.read(source, 100) == b"said\n"


def test_what_a_file_cannot_hold_is_escaped(tmp_path: Path) -> None:
    handler = RotatingLineHandler(tmp_path / "log", encoding="latin-1")
    tell(handler, "é €")
    handler.close()
    assert (tmp_path / "log").read_bytes() == b"\xe9 \\u20ac\n"


def test_a_record_that_cannot_be_formatted_does_not_raise(
    pipe: tuple[int, io.TextIOWrapper], capsys: pytest.CaptureFixture[str]
) -> None:
    _, stream = pipe
    LineHandler(stream).handle(logging.LogRecord("pyos", logging.INFO, __file__, 1, "%d", ("x",), None))
    assert "Logging error" in capsys.readouterr().err


def test_files_change_at_their_size_and_the_oldest_goes(tmp_path: Path) -> None:
    handler = RotatingLineHandler(tmp_path / "log", maxBytes=100, backupCount=2)
    for number in range(40):
        tell(handler, f"line {number:02}")  # 8 bytes: twelve are below 100
    handler.close()
    files = [tmp_path / "log.2", tmp_path / "log.1", tmp_path / "log"]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert lines_of(*files) == [f"line {number:02}" for number in range(12, 40)]
    assert max(file.stat().st_size for file in files) < 100


def test_the_size_of_a_file_that_was_there_counts(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x" * 95 + "\n")
    handler = RotatingLineHandler(tmp_path / "log", maxBytes=100, backupCount=1)
    tell(handler, "said")
    handler.close()
    assert lines_of(tmp_path / "log") == ["said"]
    assert lines_of(tmp_path / "log.1") == ["x" * 95]


def test_changes_of_files_lose_no_line_of_many_threads(tmp_path: Path) -> None:
    handler = RotatingLineHandler(tmp_path / "log", maxBytes=2000, backupCount=100)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(lambda own=own: [tell(handler, f"{own} {number:03}") for number in range(200)])
            for own in range(4)
        ]
        assert all(job.result() for job in jobs)
    handler.close()
    files = list(tmp_path.iterdir())
    assert len(files) >= 3
    assert sorted(lines_of(*files)) == [f"{own} {number:03}" for own in range(4) for number in range(200)]


def test_a_file_is_closed_with_its_last_writer(tmp_path: Path) -> None:
    handler = RotatingLineHandler(tmp_path / "log", maxBytes=10, backupCount=1)
    before = handler.stream
    descriptor = before.fileno()
    tell(handler, "0123456789")
    handler.close()
    os.write(descriptor, b"late\n")  # who was writing may
    assert "late" in (tmp_path / "log.1").read_text()
    del before
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_file_may_be_opened_by_the_first_line(tmp_path: Path) -> None:
    handler = RotatingLineHandler(tmp_path / "log", maxBytes=12, backupCount=5, delay=True)
    assert not list(tmp_path.iterdir())
    for number in range(4):
        tell(handler, f"line {number}")
    handler.close()
    files = sorted(tmp_path.iterdir(), reverse=True)
    assert lines_of(*files) == [f"line {number}" for number in range(4)]
    assert len(files) > 2


def test_what_is_no_file_is_never_renamed(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    source = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    handler = RotatingLineHandler(fifo, maxBytes=10, backupCount=3)
    for _ in range(3):
        tell(handler, "0123456789")
    handler.close()
    assert os.read(source, 1000) == b"0123456789\n" * 3
    os.close(source)
    assert list(tmp_path.iterdir()) == [fifo]


def test_a_configuration_keeps_its_words_and_gets_these_handlers() -> None:
    document: dict[str, Any] = {
        "version": 1,
        "handlers": {
            "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "level": "INFO"},
            "file": {"class": "logging.handlers.RotatingFileHandler", "filename": "a", "maxBytes": 5},
            "syslog": {"class": "logging.handlers.SysLogHandler"},
            "own": {"()": "logging.StreamHandler"},
        },
    }
    assert with_line_handlers(document) == {
        "version": 1,
        "handlers": {
            "out": {"class": "oc.logwriting.LineHandler", "stream": "ext://sys.stdout", "level": "INFO"},
            "file": {"class": "oc.logwriting.RotatingLineHandler", "filename": "a", "maxBytes": 5},
            "syslog": {"class": "logging.handlers.SysLogHandler"},
            "own": {"()": "logging.StreamHandler"},
        },
    }


@pytest.mark.parametrize("handlers", [None, [], "x", {"x": None}, {"x": {"class": 5}}, {"x": {"class": ["y"]}}])
def test_a_wrong_configuration_is_left_for_the_one_who_reports_it(handlers: object) -> None:
    document = {"version": 1, "handlers": handlers}
    assert with_line_handlers(document) == document
