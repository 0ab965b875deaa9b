"""An Active Directory: a Samba domain controller in namespaces of its own, with the people of Planet Express.

Debian packages: see ``PACKAGES``. The domain is made once a test run (7 s) and copied for each process that runs tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.children import die_with_parent
from oc.auth.directory.library import LDAPExceptionError, ldap3

from .certificates import write_certificates
from .namespaces import Namespaces, wait_for, why_not

PACKAGES = (
    "samba",
    "samba-ad-dc",
    "samba-dsdb-modules",
    "samba-vfs-modules",
    "samba-ad-provision",
    "winbind",
    "ldb-tools",
    "krb5-user",
)
PROGRAMS = ("samba", "samba-tool", "ip", "unshare")
ADDRESS = "127.0.0.100"
PROVISION_SECONDS = 240
REALM = "AD.EXAMPLE.TEST"
FQDN = "ad.example.test"
DOMAIN = "ADTEST"
HOST = f"dc1.{FQDN}"
BASE = "DC=ad,DC=example,DC=test"
PEOPLE = f"OU=people,{BASE}"
GROUPS = f"OU=groups,{BASE}"
ADMIN_PASSWORD = "Adm1n-of-the-domain"
SERVICE = ("svc-search", "Search-4-pe0ple")
PASSWORDS = {"fry": "Fry-of-1999", "leela": "Leela-of-3000", "bender": "Bend1ng-unit"}

_SETUP = """set -e
ip link set lo up
ip addr add {address}/32 dev lo
mkdir -p /run/samba
mount -t tmpfs tmpfs /run/samba
for name in hosts resolv.conf krb5.conf; do
  [ -e /etc/$name ] || touch /etc/$name
  mount --bind {directory}/$name /etc/$name
done
touch {directory}/entered
{command}
"""
_PROVISION = """samba-tool domain provision --targetdir={d} --realm={realm} --domain={domain} \
--adminpass={password} --server-role=dc --dns-backend=SAMBA_INTERNAL --host-name=dc1 --host-ip={address} \
--use-rfc2307 --option="interfaces={address}/32" --option="bind interfaces only=yes" \
--option="pid directory={d}/run" --option="ncalrpc dir={d}/run/ncalrpc" \
--option="ntp signd socket directory={d}/run/ntp_signd" --option="lock directory={d}/lock" \
--option="log file={d}/log.%m" --option="dns forwarder="
"""
_TLS = """
\ttls keyfile = {directory}/tls/key.pem
\ttls certfile = {directory}/tls/cert.pem
\ttls cafile = {directory}/tls/ca.pem
\tldap server require strong auth = allow_sasl_over_tls
"""
_KRB5 = """[libdefaults]
\tdefault_realm = {realm}
\tdns_lookup_kdc = false
\tdns_lookup_realm = false
\trdns = false
\tudp_preference_limit = 1
[realms]
\t{realm} = {{
\t\tkdc = {address}
\t}}
[domain_realm]
\t.{fqdn} = {realm}
"""


def missing() -> str | None:
    """Why no domain controller can be started here, None when one can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"needs {', '.join(absent)} (Debian packages {' '.join(PACKAGES)})"
    return why_not()


@dataclass
class DomainController:
    """A running controller. What is done inside ``visit`` sees its addresses, its names and its krb5.conf."""

    directory: Path
    process: subprocess.Popen[bytes]
    namespaces: Namespaces

    @property
    def ca_file(self) -> Path:
        """The authority of the controller's certificate."""
        return self.directory / "tls" / "ca.pem"

    @property
    def krb5_conf(self) -> Path:
        return self.directory / "krb5.conf"

    @contextmanager
    def visit(self) -> Iterator[None]:
        with self.namespaces.visit():
            yield

    @contextmanager
    def connection(self, user: str = "Administrator", password: str = ADMIN_PASSWORD) -> Iterator[Any]:
        """An ldap3 connection over LDAPS."""
        server = ldap3.Server(ADDRESS, port=636, use_ssl=True, get_info=ldap3.NONE, connect_timeout=5)
        connection = ldap3.Connection(
            server, f"{DOMAIN}\\{user}", password, check_names=False, receive_timeout=20, raise_exceptions=True
        )
        try:
            connection.bind()
            yield connection
        finally:
            connection.unbind()


@contextmanager
def running(directory: Path, shared: Path) -> Iterator[DomainController]:
    """A domain controller in ``directory``; ``shared``: where all processes of a test run keep the domain."""
    directory.mkdir(parents=True)
    _write_files(directory)
    template = _provisioned(shared)
    domain = directory / "domain"
    shutil.copytree(template, domain, symlinks=True, ignore=_sockets)
    configuration = (template / "etc" / "smb.conf").read_text().replace(str(template), str(domain))
    settings = _TLS.format(directory=directory)
    (domain / "etc" / "smb.conf").write_text(configuration.replace("[global]", f"[global]{settings}", 1))
    log = directory / "samba.log"
    command = f"exec samba -i -M single --debug-stdout -s {domain}/etc/smb.conf"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _inside(directory, command), stdout=output, stderr=subprocess.STDOUT, preexec_fn=die_with_parent
        )
    namespaces: Namespaces | None = None
    try:
        wait_for((directory / "entered").exists, process, log)
        namespaces = Namespaces(process.pid)
        controller = DomainController(directory, process, namespaces)
        with controller.visit():
            wait_for(lambda: _answers(controller), process, log)
            with controller.connection() as connection:
                _populate(connection)
        yield controller
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if namespaces is not None:
            namespaces.close()


def _answers(controller: DomainController) -> bool:
    try:
        socket.create_connection((ADDRESS, 636), timeout=2).close()  # the library leaves refused sockets open
        with controller.connection():
            return True
    except (LDAPExceptionError, OSError):
        return False


def _inside(directory: Path, command: str) -> list[str]:
    script = _SETUP.format(address=ADDRESS, directory=directory, command=command)
    return ["unshare", "-n", "-m", "--propagation", "private", "sh", "-c", script]


def _provisioned(shared: Path) -> Path:
    """The domain as it is right after it was made; made by the first who asks."""
    domain = shared / "samba-domain"
    with (shared / "samba-domain.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not domain.exists():
            making = shared / "samba-making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            _write_files(making)
            # the paths are written into its files: it is made where it stays
            command = _PROVISION.format(d=domain, realm=REALM, domain=DOMAIN, password=ADMIN_PASSWORD, address=ADDRESS)
            made = subprocess.run(_inside(making, command), capture_output=True, timeout=PROVISION_SECONDS, check=False)
            if made.returncode != 0:
                shutil.rmtree(domain, ignore_errors=True)
                raise RuntimeError(f"samba-tool domain provision failed: {made.stderr.decode()[-2000:]}")
    return domain


def _sockets(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if not os.path.isdir(p := os.path.join(directory, name)) and not os.path.isfile(p)]


def _write_files(directory: Path) -> None:
    (directory / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {HOST} dc1\n")
    (directory / "resolv.conf").write_text(f"nameserver {ADDRESS}\noptions timeout:2 attempts:1\n")
    (directory / "krb5.conf").write_text(_KRB5.format(realm=REALM, fqdn=FQDN, address=ADDRESS))
    write_certificates(directory / "tls", [HOST, FQDN, ADDRESS])


def _populate(connection: Any) -> None:
    """People, nested groups, sites and an account that may search."""
    for dn in (PEOPLE, GROUPS, f"OU=meta,{BASE}"):
        connection.add(dn, "organizationalUnit")
    _add_user(connection, *SERVICE, "Search account", f"CN=svc-search,CN=Users,{BASE}")
    drawers = {"fry": "Philip J. Fry", "leela": "Turanga Leela", "bender": "Bender Rodriguez"}
    for login, name in drawers.items():
        _add_user(
            connection,
            login,
            PASSWORDS[login],
            name,
            f"CN={name},{PEOPLE}",
            mail=f"{login}@planetexpress.com",
            homeDirectory=f"\\\\NAS\\{login}",
            profilePath=f"\\\\NAS\\profiles\\{login}",
            homeDrive="H:",
            thumbnailPhoto=b"\xff\xd8\xff\xe0 a small picture",
        )
    for login, home, attributes in (
        ("turanga.leela", f"{DOMAIN}\\leela", {}),
        ("bender.meta", f"{DOMAIN}\\bender", {"description": "robot"}),
        ("lost.meta", "ELSEWHERE\\lost", {}),
        ("fry", "", {}),
    ):
        values = {"sAMAccountName": f"m-{login}", "uid": login, **({"info": home} if home else {}), **attributes}
        connection.add(f"CN=meta {login},OU=meta,{BASE}", "user", values)
    for group, members in (
        ("ship_crew", [f"CN={name},{PEOPLE}" for name in drawers.values()]),
        ("employees", [f"CN=ship_crew,{GROUPS}"]),
        ("everybody", [f"CN=employees,{GROUPS}"]),
        ("captains", [f"CN={drawers['leela']},{PEOPLE}"]),
    ):
        connection.add(f"CN={group},{GROUPS}", "group", {"sAMAccountName": group, "member": members})
    # groups in a circle
    connection.modify(f"CN=ship_crew,{GROUPS}", {"member": [(ldap3.MODIFY_ADD, [f"CN=everybody,{GROUPS}"])]})
    sites = f"CN=Sites,CN=Configuration,{BASE}"
    site = f"CN=Default-First-Site-Name,{sites}"
    for subnet, location in (("127.0.0.0/8", "Earth"), ("127.0.0.0/24", "New New York"), ("10.9.0.0/16", None)):
        values = {"siteObject": site, **({"location": location} if location else {})}
        connection.add(f"CN={subnet},CN=Subnets,{sites}", "subnet", values)


def _add_user(connection: Any, login: str, password: str, name: str, dn: str, **attributes: Any) -> None:
    values = {
        "sAMAccountName": login,
        "userPrincipalName": f"{login}@{FQDN}",
        "displayName": name,
        "unicodePwd": f'"{password}"'.encode("utf-16-le"),
        "userAccountControl": 512,
        **attributes,
    }
    connection.add(dn, "user", values)
