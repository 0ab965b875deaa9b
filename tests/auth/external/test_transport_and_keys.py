"""Discovery, key sets and calls against a running provider, with a clock of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oc.auth.oidc.discovery import FRESH_SECONDS, RETRY_SECONDS, WELL_KNOWN, Discovery, read_metadata
from oc.auth.oidc.keys import REFRESH_SECONDS, SigningKeys
from oc.auth.oidc.transport import (
    HttpTransport,
    ProviderAnswer,
    ProviderAnswerError,
    ProviderUnreachableError,
    secure_enough,
)
from oc.errors import ExternalAuthError
from tests.auth.support import FakeClock
from tests.peers.oidc import ObedientProvider, new_peer

HTTP = HttpTransport(insecure=True)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ObedientProvider]:
    """A provider that a test may rotate and stop."""
    with new_peer(ObedientProvider, "client").start(tmp_path) as running:
        yield running


def kid(provider: ObedientProvider) -> str:
    keys = HTTP.get(f"{provider.issuer}/jwks").document("key set")["keys"]
    return str(keys[0]["kid"])


def stop(provider: ObedientProvider) -> None:
    assert provider.child is not None
    provider.child.stop()


def test_a_rotated_key_is_found_at_once_and_the_old_one_is_gone(provider: ObedientProvider, clock: FakeClock) -> None:
    url, keys = f"{provider.issuer}/jwks", SigningKeys(HTTP, clock)
    old = kid(provider)
    first = keys.find(url, "RS256", old)
    provider.rotate()
    new = kid(provider)
    assert keys.find(url, "RS256", new).public_numbers() != first.public_numbers()
    with pytest.raises(ProviderAnswerError, match="unknown key"):
        keys.find(url, "RS256", old)


def test_unknown_keys_are_looked_for_once_in_a_while(provider: ObedientProvider, clock: FakeClock) -> None:
    url, keys = f"{provider.issuer}/jwks", SigningKeys(HTTP, clock)
    keys.find(url, "RS256", kid(provider))
    before = provider.calls("/jwks")
    for _ in range(5):
        with pytest.raises(ProviderAnswerError):
            keys.find(url, "RS256", "invented")
    assert provider.calls("/jwks") == before + 1
    clock.advance(REFRESH_SECONDS)
    with pytest.raises(ProviderAnswerError):
        keys.find(url, "RS256", "invented")
    assert provider.calls("/jwks") == before + 2


def test_known_keys_stay_while_the_provider_is_away(provider: ObedientProvider, clock: FakeClock) -> None:
    url, keys = f"{provider.issuer}/jwks", SigningKeys(HTTP, clock)
    name = kid(provider)
    keys.find(url, "RS256", name)
    stop(provider)
    clock.advance(10 * FRESH_SECONDS)
    assert keys.find(url, "RS256", name) is not None


def test_without_any_key_a_provider_that_is_away_is_named_as_the_reason(clock: FakeClock) -> None:
    with pytest.raises(ProviderUnreachableError):
        SigningKeys(HTTP, clock).find("http://127.0.0.1:9/jwks", "RS256", "any")


def test_a_key_is_only_used_for_its_own_kind_of_signature(provider: ObedientProvider, clock: FakeClock) -> None:
    keys = SigningKeys(HTTP, clock)
    with pytest.raises(ProviderAnswerError):
        keys.find(f"{provider.issuer}/jwks", "ES256", kid(provider))


def test_a_token_without_a_key_id_is_checked_with_the_only_key(provider: ObedientProvider, clock: FakeClock) -> None:
    assert SigningKeys(HTTP, clock).find(f"{provider.issuer}/jwks", "RS256", None) is not None


class KeySet:
    """A transport that always answers one key set."""

    def __init__(self, keys: str) -> None:
        self.keys = keys

    def get(self, url: str, *, bearer: str | None = None) -> ProviderAnswer:
        return ProviderAnswer(200, "application/json", f'{{"keys": [{self.keys}]}}'.encode())

    def post(self, url: str, form: object, *, account: object = None) -> ProviderAnswer:
        raise NotImplementedError


@pytest.mark.parametrize(
    "key",
    [
        '{"kty": "RSA", "kid": "k", "use": "enc", "n": "AQAB", "e": "AQAB"}',
        '{"kty": "RSA", "kid": "k", "alg": "RS512", "n": "AQAB", "e": "AQAB"}',
        '{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}',
        '{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}',
        '{"kty": "RSA", "kid": "k"}',
        '{"kty": "RSA", "kid": "k", "n": 5, "e": []}',
        '"text"',
        "",
    ],
)
def test_a_key_that_is_weak_broken_or_for_something_else_is_not_used(key: str) -> None:
    with pytest.raises(ProviderAnswerError):
        SigningKeys(KeySet(key)).find("https://p.example/jwks", "RS256", "k")


def test_two_keys_of_one_name_are_not_guessed_between() -> None:
    key = '{"kty": "RSA", "n": "AQAB", "e": "AQAB"}'
    with pytest.raises(ProviderAnswerError, match="unknown key"):
        SigningKeys(KeySet(f"{key},{key}")).find("https://p.example/jwks", "RS256", None)


# --- discovery --------------------------------------------------------------------------------------------------------


def test_the_discovery_document_is_asked_for_once_an_hour(provider: ObedientProvider, clock: FakeClock) -> None:
    found = Discovery(provider.issuer + WELL_KNOWN, provider.issuer, HTTP, insecure=True, clock=clock)
    for _ in range(3):
        metadata = found.current(10)
        assert metadata is not None
        assert metadata.token_endpoint == f"{provider.issuer}/token"
    assert provider.calls(WELL_KNOWN) == 1


def test_a_stale_document_stays_in_use_while_the_provider_is_away(provider: ObedientProvider, clock: FakeClock) -> None:
    found = Discovery(provider.issuer + WELL_KNOWN, provider.issuer, HTTP, insecure=True, clock=clock)
    assert found.current(10) is not None
    stop(provider)
    clock.advance(FRESH_SECONDS + 1)
    assert found.current(10) is not None
    assert found.current(0) is not None


def test_a_provider_that_was_away_is_tried_again_after_a_while(tmp_path: Path, clock: FakeClock) -> None:
    later: ObedientProvider = new_peer(ObedientProvider, "client")
    found = Discovery(later.issuer + WELL_KNOWN, later.issuer, HTTP, insecure=True, clock=clock)
    assert found.current(10) is None
    with later.start(tmp_path):
        assert found.current(10) is None
        clock.advance(RETRY_SECONDS)
        assert found.current(10) is not None


def test_a_provider_that_does_not_answer_costs_the_login_page_only_its_waiting_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        transport = HttpTransport(insecure=True, seconds=5)
        found = Discovery(issuer + WELL_KNOWN, issuer, transport, insecure=True)
        assert found.current(0.05) is None


def test_a_document_of_another_issuer_is_refused(provider: ObedientProvider, clock: FakeClock) -> None:
    found = Discovery(provider.issuer + WELL_KNOWN, "https://evil.example", HTTP, insecure=True, clock=clock)
    assert found.current(10) is None


@pytest.mark.parametrize(
    "value", ["http://p.example/token", "ftp://p.example", 7, "https://", "https://u:p@p.example/"]
)
def test_an_endpoint_that_is_no_https_address_is_refused(value: object) -> None:
    document = {"issuer": "https://p.example", "token_endpoint": value}
    with pytest.raises(ProviderAnswerError, match="token_endpoint"):
        read_metadata(document, "https://p.example", insecure=False)


# --- calls ------------------------------------------------------------------------------------------------------------


def test_an_answer_that_trickles_is_given_up(provider: ObedientProvider) -> None:
    login = provider.user("drip", token={"drip": 60})
    code = _code(provider, login)
    with pytest.raises(ProviderUnreachableError):
        HttpTransport(insecure=True, seconds=1).post(f"{provider.issuer}/token", {"code": code})


def _code(provider: ObedientProvider, login: str) -> str:
    import requests

    form = {"login": login, "redirect_uri": "http://here/"}
    answer = requests.post(f"{provider.issuer}/authorize", data=form, allow_redirects=False, timeout=10)
    return answer.headers["Location"].partition("code=")[2]


def test_a_server_that_hangs_up_or_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        port = server.getsockname()[1]
        with pytest.raises(ProviderUnreachableError):
            HTTP.get(f"http://127.0.0.1:{port}/x?secret=1")
        thread.join(5)
    with pytest.raises(ProviderUnreachableError) as caught:
        HTTP.get(f"http://127.0.0.1:{port}/x?secret=1")
    assert "secret" not in f"{caught.value} {caught.value.doing}"


def test_plain_http_is_refused_unless_the_configuration_allows_it(provider: ObedientProvider) -> None:
    with pytest.raises(ExternalAuthError, match="not https"):
        HttpTransport().get(f"{provider.issuer}/jwks")
    assert HTTP.get(f"{provider.issuer}/jwks").ok


def test_a_netrc_file_of_the_operator_does_not_replace_our_credentials(
    provider: ObedientProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    answer = HTTP.post(f"{provider.issuer}/token", {}, account=("client", provider.client_secret))
    assert answer.document("token answer") == {"error": "invalid_grant"}  # the client itself was recognised


@pytest.mark.parametrize(
    ("url", "insecure", "good"),
    [
        ("https://p.example/x?y=1", False, True),
        ("http://p.example/", False, False),
        ("http://p.example/", True, True),
        ("https://p.example/#f", True, False),
        ("https://", True, False),
        ("//p.example", True, False),
        ("file:///etc/passwd", True, False),
        ("https://p.example:bad/", True, False),
        ("https://[::1", True, False),
    ],
)
def test_which_addresses_may_carry_codes(url: str, insecure: bool, good: bool) -> None:
    assert secure_enough(url, insecure=insecure) is good


def test_other_character_sets_are_read(provider: ObedientProvider) -> None:
    body = '{"name": "Zoé"}'.encode("latin-1")
    assert ProviderAnswer(200, "application/json", body).document("x", "latin-1") == {"name": "Zoé"}
    assert ProviderAnswer(200, 'application/json; charset="ISO-8859-1"', body).document("x") == {"name": "Zoé"}
    with pytest.raises(ProviderAnswerError):
        ProviderAnswer(200, "application/json", body).document("x")
    assert "Zo" not in repr(ProviderAnswer(200, "application/json", body))
