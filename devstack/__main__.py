"""`python -m devstack up`: start the development stack (or parts of it) and keep it until Ctrl-C.

`python -m devstack run`: the same with pyos on top, and one session shown; `--once` stops after it.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import requests

from devstack.children import ChildError
from devstack.clusterclient import ClusterError
from devstack.stack import PARTS, Ports, Stack, default_state_dir

WATCH_SECONDS = 0.5
PORT = 8000


class _StopError(BaseException):
    """SIGTERM or Ctrl-C."""


def _raise_stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    # A second signal must not break the orderly stop that the first one began.
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise _StopError


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Rows in aligned columns."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def usual_port() -> int:
    """The port the documents name, or 0 (a free one) when somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devstack", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start the stack"), ("run", "start the stack and pyos, show one session")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--state", type=Path, default=default_state_dir(), help="state directory (%(default)s)")
        for part in PARTS:
            command.add_argument(f"--port-{part}", type=int, default=0, metavar="PORT", help="default: a free one")
        command.add_argument("--no-auth", action="store_true", help="the database accepts anybody")
        if name == "up":
            command.add_argument("--only", default=",".join(PARTS), help="parts, joined by commas (%(default)s)")
        else:
            command.add_argument("--once", action="store_true", help="stop after the session")
            command.add_argument("--port", type=int, default=0, help=f"where pyos listens; default: {PORT} if free")
    return parser


def _stack(options: argparse.Namespace, parts: Iterable[str]) -> Stack:
    ports = Ports(options.port_cluster, options.port_database, options.port_cache)
    return Stack(options.state, frozenset(parts), ports=ports, database_auth=not options.no_auth)


def _wait(stack: Stack) -> int:
    """Until a signal comes (raises _StopError) or a part ends by itself."""
    never = threading.Event()
    while not never.wait(WATCH_SECONDS):
        part = stack.failed_part()
        if part is not None:
            print(part.failure("ended by itself"), file=sys.stderr)
            return 1
    return 0


def up(options: argparse.Namespace) -> int:
    """Start the parts asked for and wait."""
    parts = [part for part in options.only.split(",") if part]
    started = time.monotonic()
    with _stack(options, parts) as stack:
        print(table(stack.describe()))
        print(
            f"ready in {time.monotonic() - started:.1f} s; `. {stack.state / 'env'}` sets the variables; Ctrl-C stops"
        )
        sys.stdout.flush()
        return _wait(stack)


def run(options: argparse.Namespace) -> int:
    """Start everything and pyos, show a session, serve."""
    from devstack.service import Backends, Service
    from devstack.session import Session, StepFailedError

    with _stack(options, PARTS) as stack:
        print(table(stack.describe()), flush=True)
        assert stack.kubeconfig_pyos is not None
        assert stack.keys is not None
        assert stack.mongodb_url is not None
        backends = Backends(
            stack.kubeconfig_pyos, stack.keys, stack.mongodb_url, stack.mongodb_parameters, stack.memcached
        )
        port = options.port or (0 if options.once else usual_port())
        with Service(stack.state / "pyos", backends, port) as service:
            print(f"pyos      {service.url}  log {service.log_path}", flush=True)
            path = f"/api/v1/namespaces/{stack.namespace}/pods"
            try:
                Session(service.url, service.api_key, lambda: stack.cluster_admin("GET", path)["items"]).run()
            except (StepFailedError, requests.RequestException, KeyError) as error:
                print(f"\nthe session did not hold: {error}\npyos's log: {service.log_path}", file=sys.stderr)
                return 1
            print("\nevery step held", flush=True)
            if options.once:
                return 0
            print(f"pyos serves at {service.url} (X-API-Key: {service.api_key}); Ctrl-C stops everything", flush=True)
            return _wait(stack)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit status."""
    options = _parser().parse_args(arguments)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, _raise_stop)
    try:
        return up(options) if options.command == "up" else run(options)
    except _StopError:
        print("stopped")
        return 0
    except (ChildError, ClusterError, RuntimeError, ValueError) as error:
        print(f"devstack: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
