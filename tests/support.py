"""Helpers for tests that talk to a running pyos."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import requests

ORIGIN = "http://localhost:30443"


class Api:
    """The HTTP interface as a client sees it. ``login`` keeps the user's token for the calls after it."""

    def __init__(self, url: str, api_key: str = "", token: str | None = None, timeout: float = 60.0) -> None:
        self.url = url
        self.api_key = api_key
        self.token = token
        self.userid: str | None = None
        self._timeout = timeout
        self._http = requests.Session()
        self._http.headers["Origin"] = ORIGIN

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """``path`` below ``/API/``; arguments as for requests, ``token`` to override the one kept."""
        headers = dict(arguments.pop("headers", None) or {})
        token = arguments.pop("token", self.token)
        if token:
            headers.setdefault("ABCAuthorization", f"Bearer {token}")
        return self._http.request(method, f"{self.url}/API/{path}", headers=headers, timeout=self._timeout, **arguments)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, json: Any = None, **arguments: Any) -> requests.Response:
        """POST a JSON document, ``{}`` when there is none."""
        return self.request("POST", path, json={} if json is None else json, **arguments)

    def result(self, path: str, json: Any = None, **arguments: Any) -> Any:
        """POST, expect the success envelope, give its result."""
        response = self.post(path, json, **arguments)
        document = response.json()
        assert response.status_code == 200, response.text
        assert document["status"] == 200, response.text
        assert set(document) == {"status", "result", "message"}, response.text
        return document["result"]

    def manager(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """An operator's call: below ``manager/``, with the API key and without a user."""
        headers = {"X-API-Key": self.api_key, **(arguments.pop("headers", None) or {})}
        return self.request(method, f"manager/{path}", headers=headers, token=None, **arguments)

    def login(self, provider: str = "anonymous", **fields: Any) -> dict[str, Any]:
        """Log in and keep the token. Gives the result of ``auth/auth``."""
        result: dict[str, Any] = self.result("auth/auth", {"manager": None, "provider": provider, **fields})
        self.token = result["jwt_user_token"]
        self.userid = result["userid"]
        return result
