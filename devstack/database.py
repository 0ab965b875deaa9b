"""The database: SecantusDB, which speaks the MongoDB wire protocol, as a process of its own.

Run as `python -m devstack.database --storage DIR --credentials FILE [--port N] [--no-auth]`: prints one JSON ready line
`{"ready": true, "port": N}` and serves until SIGTERM. As in production the same user exists once in each of the
product's databases, and credentials hold only with `authSource` set to that database.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.children import Child, ChildError, die_with_parent, start_child
from devstack.keys import write_private

DATABASES = ("image", "fail2ban", "loginHistory", "applications", "profiles", "desktop")
USER = "pyos"
ROLE = "readWrite"
REPLICA_SET = "rs0"
READY_SECONDS = 90.0
# The server keeps a record of every retryable write and gets slow with ten thousand of them.
RETRYABLE_RECORDS = 200
TTL_SWEEP_SECONDS = 5.0
CLIENT_TIMEOUT_MS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """A running database: `url` is what the product's MONGODB_URL wants (no path, no query), `parameters` the query."""

    child: Child
    port: int
    url: str
    parameters: str = f"replicaSet={REPLICA_SET}"


def _password(file: Path) -> str:
    """The user's password, made at the first start and kept."""
    if file.exists():
        return str(json.loads(file.read_text())["password"])
    password = secrets.token_urlsafe(24)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, json.dumps({"user": USER, "password": password}).encode())
    return password


def launch(state: Path, port: int = 0, *, auth: bool = True) -> Child:
    """Start the process with its files in `state`/database; `await_ready` must follow. Raises ChildError."""
    credentials = _credentials(state)
    _password(credentials)
    argv = [sys.executable, "-m", "devstack.database", "--storage", str(state / "database")]
    argv += ["--credentials", str(credentials), "--port", str(port)]
    if not auth:
        argv.append("--no-auth")
    return start_child("database", argv, state / "logs" / "database.log")


def await_ready(state: Path, child: Child, *, auth: bool = True) -> Database:
    """Wait for a launched database. Raises ChildError (the process is stopped then)."""
    try:
        port = int(child.wait_ready_line(READY_SECONDS)["port"])
    except (KeyError, ValueError) as error:
        child.stop()
        raise child.failure("gave an incomplete ready line") from error
    except ChildError:
        child.stop()
        raise
    user = f"{USER}:{_password(_credentials(state))}@" if auth else ""
    return Database(child, port, f"mongodb://{user}127.0.0.1:{port}")


def start(state: Path, port: int = 0, *, auth: bool = True) -> Database:
    """Start the database and wait for it. Raises ChildError."""
    return await_ready(state, launch(state, port, auth=auth), auth=auth)


def _credentials(state: Path) -> Path:
    return state / "secrets" / "mongodb.json"


# -- the process -----------------------------------------------------------------------------------------------------
def _serve(storage: Path, port: int, *, auth: bool) -> Any:
    import secantus.transactions
    from secantus import SecantusDBServer

    secantus.transactions._RETRYABLE_RECORD_MAX = RETRYABLE_RECORDS
    server = SecantusDBServer(
        "127.0.0.1",
        port,
        str(storage),
        replica_set_name=REPLICA_SET,
        require_auth=auth,
        ttl_sweep_seconds=TTL_SWEEP_SECONDS,
        sync_on_commit=False,
    )
    server.start()
    return server


def _create_users(server: Any, password: str) -> None:
    """Make the product's user in each database, while the server does not ask for a password yet; then let it ask.

    (The server has no first user otherwise, and a restart in between would cost two seconds.)
    """
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure

    with MongoClient[dict[str, Any]](
        "127.0.0.1", server.address[1], directConnection=True, serverSelectionTimeoutMS=CLIENT_TIMEOUT_MS
    ) as client:
        for name in DATABASES:
            try:
                client[name].command("createUser", USER, pwd=password, roles=[{"role": ROLE, "db": name}])
            except OperationFailure as error:
                log.info("user of database %s is there already (code %s)", name, error.code)
    server.require_auth = True
    # A connection keeps the rule it began with: none may be left from before.
    server.connections.close_all()


def main(arguments: list[str] | None = None) -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(prog="devstack.database", description=__doc__)
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--credentials", type=Path, required=True, help="JSON file with the user's password")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--no-auth", action="store_true", help="accept anybody")
    options = parser.parse_args(arguments)
    die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    options.storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker = options.storage / "users-made"
    first = not options.no_auth and not marker.exists()
    server = _serve(options.storage, options.port, auth=not options.no_auth and not first)
    if first:
        _create_users(server, json.loads(options.credentials.read_text())["password"])
        marker.touch()
    print(json.dumps({"ready": True, "port": server.address[1]}), flush=True)
    stop.wait()
    # The server closes its listening socket without waking the thread that accepts on it, and waits two seconds for it.
    server._socket.shutdown(socket.SHUT_RDWR)
    server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
