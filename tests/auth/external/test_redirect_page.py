"""The page that hands the token over, and the page that tells of a failure."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from devstack.service import ROOT
from oc.auth.redirectpage import TEMPLATE_FILE, RedirectPage, error_page, wants_page

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln-_A"


def test_the_shipped_template_renders_the_documented_page() -> None:
    page = RedirectPage.load(ROOT, "https://desktop.example.com").render(TOKEN)
    assert f'var jwt_user_token = "{TOKEN}";' in page.body
    assert 'var default_host_url = "/";' in page.body
    assert 'id="loginScreen"' in page.body
    assert 'href="../../css/css-dist/loginScreen.css"' in page.body
    assert page.body.index("var jwt_user_token") < page.body.index('src="/js/jwtstorage.js"')
    assert page.headers["Refresh"] == "5; url=https://desktop.example.com"
    assert TOKEN not in str(page.headers)
    assert TOKEN not in repr(page)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_policy_allows_the_page_s_own_scripts_and_no_other(tmp_path: Path, end: str) -> None:
    lines = [
        "<SCRIPT>",
        'var jwt_user_token = "{{ jwt_user_token }}";',
        "</SCRIPT>",
        '<script src="/js/x.js"></script>',
    ]
    (tmp_path / TEMPLATE_FILE).write_bytes(end.join(lines).encode())
    page = RedirectPage.load(tmp_path).render(TOKEN)
    [script] = re.findall(r"<SCRIPT>(.*?)</SCRIPT>", page.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [allowed] = [part for part in page.headers["Content-Security-Policy"].split("; ") if part.startswith("script-src")]
    assert allowed == f"script-src 'self' 'sha256-{digest}'"
    assert "\r" not in page.body


def test_every_page_keeps_addresses_and_frames_out() -> None:
    for page in (RedirectPage("{{ jwt_user_token }}").render(TOKEN), error_page("x")):
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-cache, private"
        policy = page.headers["Content-Security-Policy"]
        assert "base-uri 'none'" in policy
        assert "form-action 'none'" in policy
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("url", "refresh"),
    [
        (None, "/"),
        ("", "/"),
        ("http://localhost", "http://localhost"),
        ("https://[::1]:30443/a", "https://[::1]:30443/a"),
        ("javascript:alert(1)", "/"),
        ("https://x/\r\nSet-Cookie: a=b", "/"),
        ("https://x/; url=https://evil", "/"),
    ],
)
def test_only_the_configuration_decides_where_the_page_leads(url: str | None, refresh: str) -> None:
    assert RedirectPage("", url).render(TOKEN).headers["Refresh"] == f"5; url={refresh}"


@pytest.mark.parametrize("token", ["", "abc", 'a.b."', "a.b.c</script>", "a.b", "a.b.c.d", "a.b.c\n"])
def test_only_a_token_is_put_into_the_page(token: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        RedirectPage("{{ jwt_user_token }}").render(token)


def test_a_message_cannot_become_markup() -> None:
    page = error_page('<img src=x onerror="alert(1)">&')
    assert "<img" not in page.body
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;" in page.body


def test_a_missing_template_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=TEMPLATE_FILE):
        RedirectPage.load(tmp_path)


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("TEXT/HTML;q=0.5", True),
        ("application/json", False),
        ("application/json, text/html;q=0.5", False),
        ("text/html, application/json;q=0.9", True),
        ("*/*", False),
        ("", False),
        ("text/html;q=0", False),
        ("text/html;charset=utf-8;q=0.2,application/json;q=0.3", False),
        (";;;,q=,text/htmlx", False),
    ],
)
def test_who_gets_a_page(accept: str, page: bool) -> None:
    assert wants_page(accept) is page
