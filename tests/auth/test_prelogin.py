"""Users announced by a front service: their page, their session, and the gate in front of the password."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from oc.auth.preloginpage import PreloginDeniedError, PreloginPage, fetch_template
from oc.errors import BadRequestError, UnavailableError
from oc.model.identity import ClientInfo
from oc.sharecache import LocalCache
from tests.peers.certificates import write_certificates

from .support import FakeClock
from .test_auth_routes import OpenSite, Site, open_site

__all__ = ["open_site"]

TEMPLATE = (
    '<base href="{{ base_url }}"><input id="cuid" value="{{ cuid }}">'
    '<input id="loginsessionid" value="{{ loginsessionid }}"><i>{{ refresh_timeout }}</i>'
)
OUTSIDE = ClientInfo("203.0.113.7")
INSIDE = ClientInfo("10.0.0.1")


@dataclass(frozen=True)
class Settings:
    enable: bool = True
    url: str | None = "https://front.example/index.session.mustache.html"
    network_list: tuple[Any, ...] = (ip_network("203.0.113.0/24"),)
    http_attribut: str | None = None
    http_attribut_to_force_auth_prelogin: str | None = "MUST_USE_PRELOGIN"
    maxprelogintimeout: int = 120
    timetoloadthewebpage: int = 5


@dataclass
class Bench:
    """A page maker with a cache, a clock and a web site that may be down."""

    settings: Settings = field(default_factory=Settings)
    cache: LocalCache = field(default_factory=LocalCache)
    clock: FakeClock = field(default_factory=FakeClock)
    pages: list[str] = field(default_factory=lambda: [TEMPLATE])
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page = PreloginPage(self.settings, lambda: self.cache, self.fetch, self.clock)

    def fetch(self, url: str) -> str:
        self.fetched.append(url)
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]

    def announce(self, client: ClientInfo = OUTSIDE, headers: dict[str, str] | None = None, **given: object) -> str:
        return self.page.announce(client, headers or {}, given)


def values_of(page: str) -> dict[str, str]:
    parts = page.split('"')
    return {"base_url": parts[1], "cuid": parts[5], "loginsessionid": parts[9]}


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_has_the_user_and_a_session_that_the_cache_knows() -> None:
    bench = Bench()
    page = bench.announce(userid="fry")
    values = values_of(page)
    assert values["base_url"] == "../.."
    assert values["cuid"] == "fry"
    assert len(values["loginsessionid"]) == 36
    assert bench.cache.get(values["loginsessionid"]) == "fry"
    assert "<i>115</i>" in page


def test_every_page_has_a_session_of_its_own_and_the_template_is_fetched_once() -> None:
    bench = Bench()
    sessions = {values_of(bench.announce(userid="fry"))["loginsessionid"] for _ in range(3)}
    assert len(sessions) == 3
    assert bench.fetched == [bench.settings.url]


@pytest.mark.parametrize(
    ("lifetime", "loading", "shown"), [(60, 10, "50"), (10, 5, "5"), (9, 5, "115"), (5, 60, "115")]
)
def test_times_that_leave_nothing_are_replaced_by_the_defaults(lifetime: int, loading: int, shown: str) -> None:
    bench = Bench(Settings(maxprelogintimeout=lifetime, timetoloadthewebpage=loading))
    assert f"<i>{shown}</i>" in bench.announce(userid="fry")


def test_a_user_id_cannot_become_a_part_of_the_page() -> None:
    page = Bench().announce(userid='"><script>alert(1)</script>{{ loginsessionid }}')
    assert "<script>" not in page
    assert "{{ loginsessionid }}" in page


def test_a_configured_header_goes_before_the_parameter() -> None:
    bench = Bench(Settings(http_attribut="abcuserid"))
    assert values_of(bench.announce(headers={"abcuserid": "le%65la"}, userid="fry"))["cuid"] == "leela"
    assert values_of(bench.announce(userid="fry"))["cuid"] == "fry"


@pytest.mark.parametrize("userid", [None, "", 3, ["fry"], "x" * 257, "fry\n"])
def test_without_a_usable_user_id_there_is_no_page(userid: object) -> None:
    with pytest.raises(BadRequestError, match="invalid userid request parameter"):
        Bench().announce(userid=userid)


def test_from_networks_that_need_no_prelogin_there_is_none_unless_a_header_forces_it() -> None:
    bench = Bench()
    with pytest.raises(PreloginDeniedError, match="prelogin service is denied, invalid request parameters"):
        bench.announce(INSIDE, userid="fry")
    assert bench.announce(INSIDE, {"must_use_prelogin": "1"}, userid="fry")


@pytest.mark.parametrize("settings", [Settings(enable=False), Settings(url=None)])
def test_a_service_that_is_off_says_so(settings: Settings) -> None:
    with pytest.raises(BadRequestError, match="prelogin service is disabled in configuration file"):
        Bench(settings).announce(userid="fry")


def test_a_failed_fetch_is_tried_again_but_not_at_once() -> None:
    bench = Bench(pages=["", "", TEMPLATE])
    for _ in range(2):
        with pytest.raises(BadRequestError, match="Configuration file error, prelogin url fetch failed"):
            bench.announce(userid="fry")
    assert len(bench.fetched) == 1
    bench.clock.advance(6)
    with pytest.raises(BadRequestError):
        bench.announce(userid="fry")
    bench.clock.advance(6)
    assert bench.announce(userid="fry")
    assert len(bench.fetched) == 3


def test_without_the_shared_cache_no_page_promises_a_session() -> None:
    class Away(LocalCache):
        def set(self, key: str, value: str, ttl: int) -> bool:
            return False

    with pytest.raises(UnavailableError, match="prelogin sessions are not available"):
        Bench(cache=Away()).announce(userid="fry")


# --- fetching it ------------------------------------------------------------------------------------------------------


class Web(BaseHTTPRequestHandler):
    """A web site with good and bad pages."""

    def do_GET(self) -> None:
        status, body = {
            "/page": (200, TEMPLATE.encode()),
            "/moved": (302, b""),
            "/huge": (200, b"x" * (2 * 1024 * 1024)),
        }.get(self.path, (404, b"not here"))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/page")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def web(context: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_only_a_whole_page_of_that_very_address_is_taken() -> None:
    with web() as site:
        assert fetch_template(f"{site}/page") == TEMPLATE
        for path in ("/moved", "/huge", "/missing"):
            assert fetch_template(f"{site}{path}") == ""
    assert fetch_template(f"{site}/page") == ""


def test_the_certificate_of_the_web_site_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_certificates(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with web(context) as site:
        assert fetch_template(f"{site}/page") == ""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert fetch_template(f"{site}/page") == TEMPLATE


# --- over HTTP --------------------------------------------------------------------------------------------------------

ROUTER = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7"}


@contextmanager
def serving_prelogin(open_site: OpenSite, url: str, **config: Any) -> Iterator[Site]:
    prelogin = {"enable": True, "url": url, "network_list": ["203.0.113.0/24"]}
    with open_site(**{"auth.prelogin": prelogin}, **config) as site:
        site.services.prelogin = PreloginPage(site.services.settings.auth.prelogin, lambda: site.services.sharecache)
        yield site


def test_the_announced_user_logs_in_with_the_session_of_the_page_and_nobody_else_does(open_site: OpenSite) -> None:
    with web() as front, serving_prelogin(open_site, f"{front}/page") as site:
        page = site.client.get("/API/auth/prelogin?userid=PLANET%5Cfry", ROUTER)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-cache, private"
        session = values_of(page.body.decode())["loginsessionid"]
        fry = {"provider": "planet", "userid": "fry", "password": "slurm", "loginsessionid": session}
        assert site.post("auth", fry, **ROUTER).status == 200
        assert site.post("auth", fry, **ROUTER).status == 200, "a page may be loaded again"
        leela = site.post("auth", {**fry, "userid": "leela"}, **ROUTER)
        assert (leela.status, leela.message) == (401, "invalid auth request, verify prelogin request failed")
        without = site.post("auth", {**fry, "loginsessionid": ""}, **ROUTER)
        assert without.message == "invalid auth parameters, request must use a prelogin session"


def test_a_page_is_also_given_to_a_form(open_site: OpenSite) -> None:
    with web() as front, serving_prelogin(open_site, f"{front}/page") as site:
        form = {**ROUTER, "Content-Type": "application/x-www-form-urlencoded"}
        page = site.client.request("POST", "/API/auth/prelogin", b"userid=fry", form)
        assert values_of(page.body.decode())["cuid"] == "fry"


def test_announcing_from_elsewhere_counts_for_a_ban(open_site: OpenSite) -> None:
    banning = {"enable": True, "failsbeforeban": 2, "banexpireafterseconds": 60}
    elsewhere = {"X-Forwarded-For": "198.51.100.9", "X-Real-IP": "198.51.100.9"}
    with web() as front, serving_prelogin(open_site, f"{front}/page", fail2ban=banning) as site:
        answers = [site.client.get("/API/auth/prelogin?userid=fry", elsewhere) for _ in range(3)]
        assert [answer.status for answer in answers] == [400, 400, 401]
        assert answers[0].message == "prelogin service is denied, invalid request parameters"
        assert answers[2].message == "ip address is banned"
