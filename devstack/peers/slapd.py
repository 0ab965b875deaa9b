"""OpenLDAP's server with the planetexpress tree, over ldap, ldaps and StartTLS, on free loopback ports.

    with Slapd(tmp_path) as slapd:
        slapd.ldap[0], slapd.ldaps, slapd.ca_file

Every listener is a "server" of its own for a client. The log (``requests``) tells what clients asked.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from devstack.cache import free_port
from devstack.children import Child, ChildError, Spawner, start_child
from devstack.keys import write_private
from devstack.peers.planetexpress import ENTRIES, GROUPS, ROOT_DN, ROOT_PASSWORD, SUFFIX
from devstack.peers.testca import TestCa

READY_SECONDS: Final = 60.0
PORT_ATTEMPTS: Final = 5
SCHEMAS: Final = ("core", "cosine", "inetorgperson", "nis")
_SCHEMA_DIRECTORIES: Final = ("/etc/ldap/schema", "/etc/openldap/schema")
_MODULE_DIRECTORIES: Final = ("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap")
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/lib/openldap:/usr/bin:/bin"


def missing() -> str | None:
    """Why slapd cannot be started here, None when it can."""
    absent = [name for name in ("slapd", "slapadd", "ldapadd") if _program(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian: slapd, ldap-utils)"
    return None if _existing(_SCHEMA_DIRECTORIES) else "the schema files of OpenLDAP are not installed"


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_PATH)


def _existing(directories: tuple[str, ...]) -> Path | None:
    return next((Path(name) for name in directories if Path(name).is_dir()), None)


class Slapd:
    """One running slapd. plain_listeners: how many ldap:// ports it has.

    tls: whether it has a certificate. strict: simple binds are accepted on encrypted connections only.
    """

    def __init__(self, directory: Path, *, plain_listeners: int = 2, tls: bool = True, strict: bool = False) -> None:
        self.directory = directory
        self.ca = TestCa(directory / "tls")
        self.ports: list[int] = []
        self.tls_port = 0
        self._plain_listeners = plain_listeners
        self._tls = tls
        self._strict = strict
        self._child: Child | None = None
        self._spawner: Spawner | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ldap(self) -> list[str]:
        """The plain addresses."""
        return [f"ldap://localhost:{port}" for port in self.ports]

    @property
    def ldaps(self) -> str:
        """The address with TLS from the start."""
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def ca_file(self) -> Path:
        """The authority that signed the server's certificate, which is for localhost and 127.0.0.1."""
        return self.ca.ca_file

    @property
    def log_path(self) -> Path:
        """Where slapd writes connections, requests and results."""
        return self.directory / "slapd.log"

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the tree, start, wait until every listener answers, add the groups. Raises ChildError."""
        reason = missing()
        if reason:
            raise ChildError(f"slapd: {reason}")
        self._prepare()
        self._spawner = Spawner()
        try:
            self._serve(self._spawner)
            self.add(GROUPS)  # the overlay fills memberOf for groups that are added to a running server only
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server. Safe to call twice."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None

    def restart(self) -> None:
        """Stop and start on the same ports, with the same data: connections of clients die."""
        assert self._child is not None
        assert self._spawner is not None
        self._child.stop()
        self._child = self._spawner.run(self._start)
        if not self._wait_ready(self._child):
            raise self._child.failure("did not come back")

    def _prepare(self) -> None:
        (self.directory / "db").mkdir(parents=True)
        pair = self.ca.issue("slapd", ["localhost"], ["127.0.0.1"])
        schemas, modules = _existing(_SCHEMA_DIRECTORIES), _existing(_MODULE_DIRECTORIES)
        lines = [f"include {schemas}/{name}.schema" for name in SCHEMAS]
        if modules is not None:
            lines += [f"modulepath {modules}", "moduleload back_mdb", "moduleload memberof"]
        if self._tls:
            lines += [
                f"TLSCACertificateFile {self.ca_file}",
                f"TLSCertificateFile {pair.certificate}",
                f"TLSCertificateKeyFile {pair.key}",
                "TLSVerifyClient never",
            ]
        if self._strict:
            lines.append("security simple_bind=128")
        lines += [
            f"pidfile {self.directory / 'slapd.pid'}",
            "sizelimit 1000",
            "database mdb",
            f'suffix "{SUFFIX}"',
            f'rootdn "{ROOT_DN}"',
            f"rootpw {ROOT_PASSWORD}",
            f"directory {self.directory / 'db'}",
            "dbnosync",
            "overlay memberof",
            "memberof-group-oc groupOfNames",
            "access to attrs=userPassword by anonymous auth by * none",
            "access to * by * read",
        ]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        ldif = self.directory / "base.ldif"
        ldif.write_text(ENTRIES, encoding="utf-8")
        self._run("slapadd", "-f", str(self._config), "-l", str(ldif), "-q")

    @property
    def _config(self) -> Path:
        return self.directory / "slapd.conf"

    def _serve(self, spawner: Spawner) -> None:
        for _ in range(PORT_ATTEMPTS):
            self.ports = [free_port() for _ in range(self._plain_listeners)]
            self.tls_port = free_port()
            self._child = spawner.run(self._start)
            if self._wait_ready(self._child):
                return
            self._child.stop()
        assert self._child is not None
        raise self._child.failure("could not listen")

    def _start(self) -> Child:
        urls = " ".join(f"ldap://127.0.0.1:{port}" for port in self.ports)
        if self._tls:
            urls += f" ldaps://127.0.0.1:{self.tls_port}"
        program = _program("slapd")
        assert program is not None
        argv = [program, "-f", str(self._config), "-h", urls, "-d", "stats"]
        return start_child("slapd", argv, self.log_path, ready_pipe=False)

    def _wait_ready(self, child: Child) -> bool:
        """True when all listeners answer; False when the server ended (a port was taken)."""
        end = time.monotonic() + READY_SECONDS
        waiting = [*self.ports, *([self.tls_port] if self._tls else [])]
        while time.monotonic() < end:
            if not child.is_alive():
                return False
            try:
                socket.create_connection(("127.0.0.1", waiting[0]), timeout=1).close()
            except OSError:
                time.sleep(0.01)
                continue
            waiting.pop(0)
            if not waiting:
                return True
        raise child.failure(f"was not ready after {READY_SECONDS:g} s")

    # --- data -------------------------------------------------------------------------------------------------------

    def add(self, ldif: str) -> None:
        """Add the entries of an LDIF text."""
        self._client("ldapadd", ldif)

    def modify(self, ldif: str) -> None:
        """Apply the changes of an LDIF text."""
        self._client("ldapmodify", ldif)

    def _client(self, name: str, ldif: str) -> None:
        secret = self.directory / "rootpw"
        write_private(secret, ROOT_PASSWORD.encode())
        # these programs take "localhost" for the name of the machine, which the certificate does not have
        url = f"ldaps://127.0.0.1:{self.tls_port}" if self._strict else self.ldap[0]
        self._run(name, "-x", "-H", url, "-D", ROOT_DN, "-y", str(secret), text=ldif)

    def _run(self, name: str, *arguments: str, text: str = "") -> None:
        program = _program(name)
        done = subprocess.run(
            [str(program), *arguments],
            input=text.encode(),
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "LDAPTLS_CACERT": str(self.ca_file)},
        )
        if done.returncode:
            raise ChildError(f"{name}: {done.stderr.decode('utf-8', 'replace')[:500]}")

    # --- what clients did -------------------------------------------------------------------------------------------

    def log_size(self) -> int:
        """Where the log ends now, for ``requests``."""
        return self.log_path.stat().st_size

    def requests(self, since: int = 0) -> list[str]:
        """The requests since a position of the log: ``BIND``, ``SRCH``, ``STARTTLS`` ... in their order."""
        with self.log_path.open("rb") as file:
            file.seek(since)
            text = file.read().decode("utf-8", "replace")
        return re.findall(r"conn=\d+ op=\d+ (BIND|SRCH|STARTTLS|UNBIND)(?= dn=\"[^\"]*\" method| base=|$)", text, re.M)

    def connections(self, since: int = 0) -> tuple[int, int]:
        """Connections accepted and closed since a position of the log."""
        with self.log_path.open("rb") as file:
            file.seek(since)
            text = file.read().decode("utf-8", "replace")
        return len(re.findall(r" ACCEPT from ", text)), len(re.findall(r" closed", text))

    def all_closed(self, since: int = 0) -> bool:
        """Whether there were connections since a position of the log, and none of them is left."""
        accepted, closed = self.connections(since)
        return accepted == closed > 0
