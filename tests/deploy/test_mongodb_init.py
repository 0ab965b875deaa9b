"""The Job that makes the accounts of MongoDB, run by the real shell against the database of the development stack.

The shell is no part of the suite (a hundred and fifty megabytes): `npm install -g mongosh`, or its directory in PATH.
In continuous integration (CI is set) it is fetched. The development database is its own primary from the start, so the
replica set is not initiated here; that branch is run with stand-ins in test_manifests.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from oc.datastore import DataStore
from oc.od.settings import settings_from_mapping

from .support import Object, named

ROOT_ACCOUNT = ("root", "r/o:o@t%")
ACCOUNT = ("pyos", "first:word/of@all")
DATABASES = ("image", "fail2ban", "loginHistory", "applications", "profiles", "desktop")
MONGOSH = "2.12.0"
HOST = "mongodb-od-0.mongodb:27017"


class Database:
    """SecantusDB with a root account and nothing else, as a MongoDB is when the Job comes first."""

    def __init__(self, storage: Path, path: str) -> None:
        from secantus import SecantusDBServer

        self._path = path
        self.server = SecantusDBServer("127.0.0.1", 0, str(storage), replica_set_name="rs0", require_auth=False)
        self.server.start()
        self.address = f"127.0.0.1:{self.server.address[1]}"
        with MongoClient[Object](f"mongodb://{self.address}/?directConnection=true") as client:
            client["admin"].command("createUser", ROOT_ACCOUNT[0], pwd=ROOT_ACCOUNT[1], roles=["root"])
        self.server.require_auth = True
        self.server.connections.close_all()

    def run_job(self, scripts: Path, password: str, root: str = ROOT_ACCOUNT[1]) -> subprocess.CompletedProcess[str]:
        """The command of the Job as it is, but for the address and the directory of the script."""
        (scripts / "init.js").write_text(named("ConfigMap", "mongodb-init")["data"]["init.js"])
        (container,) = named("Job", "mongodb-init")["spec"]["template"]["spec"]["containers"]
        command = [word.replace(HOST, self.address).replace("/scripts", str(scripts)) for word in container["command"]]
        assert command != container["command"]
        environment = {
            "PATH": self._path, "HOME": str(scripts),
            "MONGO_ROOT_USERNAME": ROOT_ACCOUNT[0], "MONGO_ROOT_PASSWORD": root,
            "MONGO_USERS_LIST": f"{ACCOUNT[0]}:readWrite:{password};reader:read:a-word",
            "MONGO_DBS_LIST": ", ".join(DATABASES),
        }  # fmt: skip
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)

    def answers(self, user: str, password: str, database: str) -> bool:
        client = MongoClient[Object](
            f"mongodb://{self.address}/?directConnection=true",
            username=user, password=password, authSource=database,
        )  # fmt: skip
        with client:
            try:
                client[database].command("listCollections")
            except OperationFailure:
                return False
            return True


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with mongosh in it."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed: the Job of deploy/30-mongodb.yaml is not run")
    if shutil.which("mongosh") is not None:
        return os.environ["PATH"]
    if "CI" not in os.environ or shutil.which("npm") is None:
        pytest.skip("mongosh is not installed: the Job of deploy/30-mongodb.yaml is not run (npm install -g mongosh)")
    directory = tmp_path_factory.mktemp("mongosh")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", f"mongosh@{MONGOSH}"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        pytest.skip(f"mongosh cannot be fetched, the Job of deploy/30-mongodb.yaml is not run: {done.stderr[-300:]}")
    return f"{directory / 'node_modules' / '.bin'}:{os.environ['PATH']}"


@pytest.fixture
def database(path: str, tmp_path: Path) -> Iterator[Database]:
    storage = tmp_path / "storage"
    storage.mkdir()
    found = Database(storage, path)
    yield found
    found.server.stop()


def test_the_job_makes_accounts_that_the_product_gets_in_with_and_may_be_run_again(
    database: Database, tmp_path: Path
) -> None:
    done = database.run_job(tmp_path, ACCOUNT[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("account pyos")] == [
        f"account pyos in {name}" for name in DATABASES
    ]
    for name in DATABASES:
        assert database.answers(*ACCOUNT, name), name
        assert not database.answers(ACCOUNT[0], "another word", name), name
        assert database.answers("reader", "a-word", name), name
    again = database.run_job(tmp_path, "second-word")
    assert again.returncode == 0, again.stdout + again.stderr
    assert database.answers(ACCOUNT[0], "second-word", "image")
    assert not database.answers(*ACCOUNT, "image")
    values = {"mongodburl": f"mongodb://pyos:second-word@{database.address}", "mongodbparam": "replicaSet=rs0"}
    store = DataStore(settings_from_mapping(values).mongodb)
    try:
        assert [name for name in store.databases if not store.ping(name)] == []
    finally:
        store.close()


def test_a_job_that_is_refused_fails_and_shows_no_password(database: Database, tmp_path: Path) -> None:
    done = database.run_job(tmp_path, ACCOUNT[1], root="a-wrong-word")
    assert done.returncode != 0
    assert "authentication failed" in done.stderr.lower()
    assert "a-wrong-word" not in done.stdout + done.stderr
    assert not database.answers(*ACCOUNT, "image")
