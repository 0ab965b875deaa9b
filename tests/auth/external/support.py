"""A browser for the login tests: keeps cookies, follows redirects, fills in the providers' pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import requests

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
JSON = "application/json"
TOKEN = re.compile(r'jwt_user_token = "([^"]+)"')
MAX_STEPS = 20


class _Forms(HTMLParser):
    """The forms of a page: action and fields."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((values.get("action", ""), {}))
        elif tag == "input" and self.forms and "name" in values:
            self.forms[-1][1][values["name"]] = values.get("value", "")


class Browser:
    """One browser. ``site`` is the address of pyos."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.http = requests.Session()
        self.http.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) test"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def config(self) -> requests.Response:
        """What the login page asks for first."""
        return self.http.post(f"{self.site}/API/auth/getauthconfig", json={}, timeout=30)

    def link(self, provider: str) -> str:
        """The address behind the provider's button."""
        managers = self.config().json()["managers"]
        [external] = [manager for manager in managers if manager["name"] == "external"]
        [found] = [entry for entry in external["providers"] if entry["name"] == provider]
        return str(found["dialog_url"])

    def sign_in(self, link: str, login: str, *, abort: bool = False) -> str:
        """Go through the provider's pages as ``login``. Gives the address at pyos that the provider sends us to.

        abort: leave the consent page by its cancel link.
        """
        response = self.http.get(link, allow_redirects=False, timeout=30)
        for _ in range(MAX_STEPS):
            if response.is_redirect:
                target = urljoin(response.url, response.headers["Location"])
                if "/API/auth/oauth" in urlsplit(target).path:
                    return target
                response = self.http.get(target, allow_redirects=False, timeout=30)
                continue
            assert response.status_code == 200, response.text
            cancel = re.search(r'href="([^"]*/abort)"', response.text)
            if abort and cancel:
                response = self.http.get(urljoin(response.url, cancel.group(1)), allow_redirects=False, timeout=30)
                continue
            parser = _Forms()
            parser.feed(response.text)
            action, fields = parser.forms[0]
            if "login" in fields:
                fields |= {"login": login, "password": "any"}
            response = self.http.post(urljoin(response.url, action), data=fields, allow_redirects=False, timeout=30)
        raise AssertionError(f"the provider's pages lead nowhere: {response.url}")

    def come_back(self, address: str, accept: str = HTML) -> requests.Response:
        """Open the address that the provider sent us to."""
        return self.http.get(address, headers={"Accept": accept}, allow_redirects=False, timeout=60)

    def try_login(self, provider: str, login: str, accept: str = JSON) -> requests.Response:
        """The whole way, to pyos's answer."""
        return self.come_back(self.sign_in(self.link(provider), login), accept)

    def log_in(self, provider: str, login: str) -> str:
        """The whole way, to the user token."""
        response = self.try_login(provider, login, HTML)
        assert response.status_code == 200, response.text
        return token_of(response)


def token_of(page: requests.Response) -> str:
    """The token in the page that pyos answers."""
    found = TOKEN.search(page.text)
    assert found is not None, page.text
    return found.group(1)


def changed(address: str, **parameters: str | None) -> str:
    """``address`` with query parameters replaced, or removed (None)."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return urlunsplit(
        parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None}))
    )


def parameter(address: str, name: str) -> str:
    """One query parameter of an address."""
    return parse_qs(urlsplit(address).query)[name][0]


def refused(response: requests.Response) -> str:
    """The message of a 401 in JSON; nothing of it may be a token."""
    assert response.status_code == 401, response.text
    document: dict[str, Any] = response.json()
    assert document["status"] == 401
    assert set(document) == {"status", "message"}
    assert "eyJ" not in response.text
    return str(document["message"])
