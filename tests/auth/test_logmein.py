"""Users named by a site in front: client certificates, parameters, who may send them, and the answers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from controllers.auth_front import preferred
from oc.auth.logmein import AssertedUser, ForeignNetworkError, Logmein
from oc.auth.redirectpage import RedirectPage
from oc.errors import BadRequestError
from oc.od.authorized_keys import AuthorizedKeys

from .test_auth_routes import OpenSite, Site, open_site

__all__ = ["open_site"]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
UID = "0.9.2342.19200300.100.1.1"
CN = "2.5.4.3"
HEADER = "AbcdesktopUserCert"


@dataclass(frozen=True)
class Settings:
    enable: bool = True
    network_list: tuple[Any, ...] = (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    permit_querystring: bool = False
    http_attribut: str | None = HEADER
    oid_list: tuple[str, ...] = (UID, CN)


def certificate(subject: dict[str, str], start: datetime = NOW, days: int = 30, key: Any = None) -> x509.Certificate:
    """A self-signed one: the chain is the business of the site in front."""
    private = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in subject.items()])
    signer = private if not isinstance(private, x25519.X25519PrivateKey) else ec.generate_private_key(ec.SECP256R1())
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(start - timedelta(days=1))
        .not_valid_after(start + timedelta(days=days))
        .sign(signer, algorithm)
    )


def pem(made: x509.Certificate) -> str:
    return made.public_bytes(serialization.Encoding.PEM).decode()


FRY = pem(certificate({UID: "fry", CN: "Philip J. Fry"}))


def named(settings: Settings, header: str | None = None, peer: str = "127.0.0.1", **parameters: object) -> AssertedUser:
    headers = {} if header is None else {HEADER.lower(): header}
    return Logmein(settings, lambda: NOW).user(peer, headers, parameters)


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        quote(FRY),
        FRY,
        FRY.replace("\n", " "),
        FRY.replace("\n", "\n\t"),
        "".join(FRY.strip().splitlines()[1:-1]),
        quote("".join(FRY.strip().splitlines()[1:-1])),
    ],
    ids=["escaped", "pem", "folded by blanks", "folded by tabs", "base64", "escaped base64"],
)
def test_a_certificate_names_its_user_however_the_proxy_writes_it(header: str) -> None:
    asserted = named(Settings(), header)
    assert asserted.userid == "fry"
    assert asserted.authorized_key is not None
    assert asserted.authorized_key.startswith("ecdsa-sha2-nistp256 ")


def test_subject_attributes_are_tried_in_the_configured_order() -> None:
    assert named(Settings(oid_list=(CN, UID)), FRY).userid == "Philip J. Fry"
    assert named(Settings(), pem(certificate({CN: "leela"}))).userid == "leela"


def test_a_certificate_without_such_an_attribute_names_nobody() -> None:
    with pytest.raises(BadRequestError, match="logmein invalid user parameter"):
        named(Settings(), pem(certificate({"2.5.4.10": "Planet Express"})))


@pytest.mark.parametrize("start", [NOW - timedelta(days=60), NOW + timedelta(days=2)])
def test_a_certificate_counts_only_between_its_dates(start: datetime) -> None:
    with pytest.raises(BadRequestError, match="Bad certificate"):
        named(Settings(), pem(certificate({UID: "fry"}, start=start)))


@pytest.mark.parametrize(
    "header",
    [
        "x",
        "%ff%fe",
        "-----BEGIN CERTIFICATE-----",
        FRY.replace("CERTIFICATE", "PRIVATE KEY"),
        FRY[:-60],
        b64encode(b"not a certificate").decode(),
        "A" * 40_000,
        "fry",
    ],
)
def test_what_is_no_certificate_is_refused(header: str) -> None:
    with pytest.raises(BadRequestError, match="Bad certificate"):
        named(Settings(), header)


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "ssh-rsa "),
        (ed25519.Ed25519PrivateKey.generate(), "ssh-ed25519 "),
    ],
)
def test_the_key_of_the_certificate_becomes_a_line_of_openssh(key: Any, prefix: str) -> None:
    line = named(Settings(), pem(certificate({UID: "fry"}, key=key))).authorized_key
    assert line is not None
    assert line.startswith(prefix)
    assert serialization.load_ssh_public_key(line.encode()) is not None


def test_a_key_that_openssh_does_not_know_hinders_no_login() -> None:
    made = certificate({UID: "fry"}, key=x25519.X25519PrivateKey.generate())
    assert named(Settings(), pem(made)) == AssertedUser("fry", None)


# --- who may name somebody, and how -----------------------------------------------------------------------------------


def test_the_parameter_is_ignored_unless_it_is_permitted() -> None:
    with pytest.raises(BadRequestError, match="invalid user parameter"):
        named(Settings(http_attribut=None), userid="fry")
    permitted = Settings(http_attribut=None, permit_querystring=True)
    assert named(permitted, userid="fry") == AssertedUser("fry", None)


def test_where_a_certificate_is_expected_a_parameter_never_stands_for_it() -> None:
    with pytest.raises(BadRequestError, match="invalid user parameter"):
        named(Settings(permit_querystring=True), userid="fry")
    with pytest.raises(BadRequestError, match="invalid user parameter"):
        named(Settings(permit_querystring=True), "  ", userid="fry")


@pytest.mark.parametrize("userid", ["", None, 7, ["fry"], "x" * 257, "fry\n", "fry\x00"])
def test_a_parameter_that_is_no_user_id_is_refused(userid: object) -> None:
    with pytest.raises(BadRequestError, match="invalid user parameter"):
        named(Settings(http_attribut=None, permit_querystring=True), userid=userid)


@pytest.mark.parametrize("peer", ["10.0.0.1", "192.0.2.7", "2001:db8::1", "", "unknown", "::ffff:10.0.0.1"])
def test_only_the_site_in_front_may_name_anybody(peer: str) -> None:
    with pytest.raises(ForeignNetworkError, match="logmein invalid network source error"):
        named(Settings(), FRY, peer=peer)


@pytest.mark.parametrize("peer", ["127.0.0.9", "::ffff:127.0.0.1", "fd00::7", "fd00::7%eth0"])
def test_its_address_may_be_written_in_any_form(peer: str) -> None:
    assert named(Settings(), FRY, peer=peer).userid == "fry"


def test_a_service_that_is_off_says_so() -> None:
    with pytest.raises(BadRequestError, match="logmein configuration file error, service is disabled"):
        named(Settings(enable=False), FRY)


# --- over HTTP --------------------------------------------------------------------------------------------------------

CERTIFICATES = {"enable": True, "network_list": ["127.0.0.0/8"], "http_attribut": HEADER}
PROVIDERS = {
    "implicit": {
        "providers": {"sslclient": {"dialog_url": "https://certificates.example/"}, "anonymous": {"userid": "x"}}
    },
    "explicit": {"providers": {"planet": {}}},
}
TEMPLATE = "<script>var jwt_user_token = '{{ jwt_user_token }}';</script>"


@contextmanager
def serving_logmein(open_site: OpenSite, logmein: dict[str, Any], **config: Any) -> Iterator[Site]:
    with open_site(**{"auth.logmein": logmein, "authmanagers": PROVIDERS, **config}) as site:
        site.services.logmein = Logmein(site.services.settings.auth.logmein)
        site.services.authorized_keys = AuthorizedKeys(site.services.sharecache)
        site.services.redirectpage = RedirectPage(TEMPLATE, "https://desk.example/")
        yield site


def header_of_today(userid: str = "fry") -> dict[str, str]:
    return {HEADER: quote(pem(certificate({UID: userid}, start=datetime.now(UTC))))}


def test_the_answer_has_the_form_the_client_prefers(open_site: OpenSite) -> None:
    with serving_logmein(open_site, CERTIFICATES) as site:
        headers = header_of_today()
        page = site.client.get("/API/auth/logmein?provider=sslclient", headers)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html;charset=utf-8"
        assert page.headers["Refresh"] == "5; url=https://desk.example/"
        document = site.client.get("/API/auth/logmein?provider=sslclient", {**headers, "Accept": "application/json"})
        assert document.headers["Content-Type"] == "application/json;charset=utf-8"
        assert document.body.endswith(b"\n")
        assert document.json["message"] == "login success"
        text = site.client.get("/API/auth/logmein?provider=sslclient", {**headers, "Accept": "text/plain"})
        assert text.headers["Content-Type"] == "text/text;charset=utf-8"
        for answer in (page, document, text):
            assert answer.headers["Cache-Control"] == "no-cache, private"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        in_page = page.body.decode().split("'")[1]
        for token in (in_page, document.json["result"]["jwt_user_token"], text.body.decode().strip()):
            claims = jwt.decode(token, options={"verify_signature": False})
            assert claims["user"] == {"name": "fry", "userid": "fry"}
            assert (claims["auth"]["provider"], claims["auth"]["providertype"]) == ("sslclient", "sslclient")
        assert [login.identity.userid for login in site.desktop.prepared] == ["fry"] * 3
        assert [entry[0] for entry in site.desktop.history] == ["fry"] * 3
        assert site.count("success") == 3


def test_the_keys_of_certificates_are_exported(open_site: OpenSite) -> None:
    with serving_logmein(open_site, CERTIFICATES) as site:
        for userid in ("fry", "leela", "fry"):
            answer = site.client.get("/API/auth/logmein?provider=sslclient", header_of_today(userid))
            assert answer.status == 200
        lines = site.client.get("/API/auth/authorizedkeys").body.decode().splitlines()
        assert len(lines) == 2
        assert all(line.startswith("ecdsa-sha2-nistp256 ") for line in lines)
        answer = site.client.get("/API/auth/authorizedkeys", {"Accept": "application/json"})
        assert answer.json == lines


def test_a_login_by_post_takes_form_and_json(open_site: OpenSite) -> None:
    permitted = {"enable": True, "network_list": ["127.0.0.0/8"], "permit_querystring": True}
    with serving_logmein(open_site, permitted) as site:
        form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        body = b"provider=sslclient&userid=fry"
        assert site.client.request("POST", "/API/auth/logmein", body, form).json["status"] == 200
        asked = {"provider": "sslclient", "userid": "leela"}
        assert site.client.post("/API/auth/logmein", asked, {"Accept": "application/json"}).json["status"] == 200
        assert [login.identity.userid for login in site.desktop.prepared] == ["fry", "leela"]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 401, "missing provider parameter"),
        ("?provider=", 401, "missing provider parameter"),
        ("?provider=nobody", 401, "authentication provider nobody not found"),
        ("?provider=planet", 401, "authentication provider planet not found"),
    ],
)
def test_only_implicit_providers_take_somebody_s_word(
    open_site: OpenSite, query: str, status: int, message: str
) -> None:
    with serving_logmein(open_site, CERTIFICATES) as site:
        answer = site.client.get(f"/API/auth/logmein{query}", header_of_today())
        assert (answer.status, answer.message) == (status, message)
        assert site.count("failed") == 1


@pytest.mark.parametrize("userid", ["a b", "-fry", "fry/../x", "x" * 64, "fry,access_provider=y", "ﬀry"])
def test_a_certificate_cannot_name_what_is_no_user_id(open_site: OpenSite, userid: str) -> None:
    with serving_logmein(open_site, CERTIFICATES) as site:
        answer = site.client.get("/API/auth/logmein?provider=sslclient", header_of_today(userid))
        assert (answer.status, answer.message) == (401, "invalid user id")
        assert site.desktop.prepared == []


def test_a_forwarded_address_does_not_make_a_foreign_sender_the_site_in_front(open_site: OpenSite) -> None:
    """The socket decides, not what a header says; and the sender is counted."""
    banning = {"enable": True, "failsbeforeban": 2, "banexpireafterseconds": 60}
    elsewhere = {**CERTIFICATES, "network_list": ["10.9.0.0/16"]}
    with serving_logmein(open_site, elsewhere, fail2ban=banning) as site:
        headers = {**header_of_today(), "X-Forwarded-For": "10.9.0.1", "X-Real-IP": "10.9.0.1"}
        answers = [site.client.get("/API/auth/logmein?provider=sslclient", headers) for _ in range(3)]
        assert [(answer.status, answer.message) for answer in answers] == [
            (400, "logmein invalid network source error"),
            (400, "logmein invalid network source error"),
            (401, "ip address is banned"),
        ]


def test_auth_takes_nobody_s_certificate_and_no_user_id(open_site: OpenSite) -> None:
    with serving_logmein(open_site, CERTIFICATES) as site:
        answer = site.post("auth", {"provider": "sslclient", "userid": "fry"}, **header_of_today())
        assert answer.status == 401
        assert site.desktop.prepared == []
        answer = site.post("auth", {"provider": "anonymous", "userid": "fry"}, **header_of_today())
        assert answer.json["result"]["userid"] != "fry"


def test_secrets_that_cannot_be_written_are_a_401(open_site: OpenSite) -> None:
    with serving_logmein(open_site, CERTIFICATES) as site:
        site.desktop.away = True
        headers = {**header_of_today(), "Accept": "application/json"}
        answer = site.client.get("/API/auth/logmein?provider=sslclient", headers)
        assert answer.status == 401
        assert answer.message.startswith("failed to prepare ressources")
        assert "jwt_user_token" not in json.dumps(answer.json)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("application/json", "application/json"),
        ("text/plain;q=0.5, application/json;q=0.4", "text/plain"),
        ("text/plain, application/json", "text/plain"),
        ("application/json;q=0, text/html;q=0.1", "text/html"),
        ("APPLICATION/JSON ; q=0.9", "application/json"),
        ("image/png", "text/html"),
    ],
)
def test_the_preferred_type_is_the_one_of_highest_quality(accept: str, chosen: str) -> None:
    assert preferred(accept, ("text/html", "application/json", "text/plain")) == chosen
