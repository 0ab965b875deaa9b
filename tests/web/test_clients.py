"""What the headers say about a browser: locale (services.md 9.4), system, host, origin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.i18n import negotiate_locale
from oc.web.clients import client_info, host_name, os_family

from .harness import Client, make_services, serving
from .sample import SampleController

SHIPPED = ["de_AT", "de_DE", "en_AG", "en_GB", "en_US", "fr_BE", "fr_CA", "fr_FR"]


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, "en_US"),
        ("", "en_US"),
        ("fr-CA", "fr_CA"),
        ("FR-ca", "fr_CA"),
        ("fr", "fr_FR"),
        ("de-CH", "de_DE"),
        ("en", "en_US"),
        ("en-NZ", "en_US"),
        ("*", "en_US"),
        ("ja", "en_US"),
        ("ja, *;q=0.1", "en_US"),
        ("ja, de;q=0.5, fr;q=0.8", "fr_FR"),
        ("fr;q=0, de", "de_DE"),
        ("fr;q=0, fr-CA;q=0, *", "en_US"),
        ("en-US;q=0, en", "en_AG"),
        ("de-DE;q=0, de", "de_AT"),
        ("fr;q=abc, de", "de_DE"),
        ("fr;q=2, de", "de_DE"),
        (";;,,;q=1", "en_US"),
        ("fr-FR,fr;q=0.9,en-US;q=0.8", "fr_FR"),
    ],
)
def test_the_locale_is_the_best_supported_one(header, locale):
    assert negotiate_locale(header, SHIPPED) == locale


def test_a_star_takes_the_first_locale_where_english_is_not_offered():
    assert negotiate_locale("*", ["de_AT", "fr_FR"]) == "de_AT"


def test_nothing_supported_gives_english():
    assert negotiate_locale("de", []) == "en_US"


@given(header=st.text(max_size=200), supported=st.lists(st.sampled_from(SHIPPED)))
def test_any_header_gives_a_supported_locale_or_english(header, supported):
    assert negotiate_locale(header, supported) in {*supported, "en_US"}


@pytest.mark.parametrize(
    ("useragent", "family"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", "windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15", "macosx"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36", ""),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)", ""),
        ("curl/8.5.0", ""),
        ("", ""),
    ],
)
def test_the_system_is_read_from_the_user_agent(useragent, family):
    assert os_family(useragent) == family


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("desk.example:30443", "desk.example"),
        ("localhost", "localhost"),
        ("[::1]:8000", "::1"),
        ("[broken", ""),
        ("", ""),
    ],
)
def test_the_host_name_has_no_port(host, name):
    assert host_name(host) == name


def test_texts_of_a_client_are_bounded_and_printable():
    info = client_info({"User-Agent": "a\nb" + "x" * 5000, "Origin": "o" * 5000}, "203.0.113.9", SHIPPED)
    assert "\n" not in info.useragent
    assert len(info.useragent) <= 512
    assert info.origin is not None
    assert len(info.origin) <= 512


def test_a_handler_sees_the_client():
    services = make_services({"language": SHIPPED})
    headers = {
        "User-Agent": "Mozilla/5.0 (Windows NT 10.0)",
        "Accept-Language": "fr",
        "Origin": "https://desk.example",
        "X-Forwarded-For": "203.0.113.9",
    }
    with serving(SampleController(), services=services) as client:
        seen = client.get("/API/sample/client", headers).json
    assert seen["ip"] == "203.0.113.9"
    assert (seen["os"], seen["locale"], seen["host"]) == ("windows", "fr_FR", "127.0.0.1")
    assert seen["origin"] == "https://desk.example"


def test_a_client_without_headers_is_described_too(sample: Client):
    seen = sample.get("/API/sample/client").json
    assert (seen["os"], seen["locale"], seen["origin"]) == ("", "en_US", None)
