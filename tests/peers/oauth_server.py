"""An authorization server that does what it is told, good or bad: ``python oauth_server.py PORT CLIENT SECRET``.

A process of its own, for what a certified provider never does. It serves a plain OAuth 2.0 service (as github's: no
discovery, no identity token) and an OpenID provider at once. ``PUT /users/<login>`` describes a user: ``userinfo``
(the document), ``claims`` (of the identity token, over the right ones), and what goes wrong: ``token`` and ``me`` with
``status``, ``type``, ``body``, ``size``, ``delay``; ``sign`` with ``alg``, ``key``, ``kid``. ``POST /rotate`` changes
the signing key. ``GET /calls`` tells how often each path was asked. Prints one JSON line when it listens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAX_BODY = 1_000_000


class State:
    """What the server knows."""

    def __init__(self, issuer: str, client: str, secret: str) -> None:
        self.issuer, self.client, self.secret = issuer, client, secret
        self.lock = threading.Lock()
        self.users: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, str] = {}
        self.calls: dict[str, int] = {}
        self.stranger = rsa.generate_private_key(65537, 2048)
        self.keys: list[tuple[str, rsa.RSAPrivateKey]] = []
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is gone."""
        self.keys = [(secrets.token_hex(4), rsa.generate_private_key(65537, 2048))]

    def jwks(self) -> dict[str, Any]:
        encode = jwt.algorithms.RSAAlgorithm.to_jwk
        return {
            "keys": [{**encode(key.public_key(), as_dict=True), "kid": kid, "use": "sig"} for kid, key in self.keys]
        }

    def id_token(self, user: dict[str, Any], subject: str, nonce: str, access_token: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": self.client, "sub": subject, "exp": now + 300, "iat": now, "nonce": nonce}
        claims |= user.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        how = user.get("sign", {})
        kid, key = self.keys[0]
        headers = {"kid": how.get("kid", kid)}
        if how.get("alg") == "none":
            return jwt.encode(claims, None, algorithm="none", headers=headers)
        if how.get("alg") == "HS256":  # keyed with our public key, as an attacker would
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return hs256(claims, {**headers, "alg": "HS256", "typ": "JWT"}, public)
        return jwt.encode(claims, self.stranger if how.get("key") == "stranger" else key, "RS256", headers=headers)


def hs256(claims: dict[str, Any], header: dict[str, Any], key: bytes) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    mac = hmac.digest(key, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY))
        with self.state.lock:
            self.state.calls[parts.path] = self.state.calls.get(parts.path, 0) + 1
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if method == "PUT" and parts.path.startswith("/users/"):
            self.state.users[parts.path.removeprefix("/users/")] = json.loads(body)
            return self._json({})
        route = getattr(self, f"_{method.lower()}_{parts.path.strip('/').replace('/', '_').replace('.', '_')}", None)
        if route is None and "openid-configuration" in parts.path:
            return self._discovery()
        if route is None:
            return self._json({"error": "not_found"}, 404)
        return route(query, body)

    def _json(self, document: object, status: int = 200) -> None:
        self._send(status, "application/json", json.dumps(document).encode())

    def _send(self, status: int, content_type: str, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def _broken(self, fault: dict[str, Any] | None) -> bool:
        """Answer as ``fault`` says; False when nothing is wrong."""
        if not fault:
            return False
        if "drip" in fault:  # headers at once, then a byte now and then
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(int(fault["drip"])):
                self.wfile.write(b" ")
                time.sleep(0.5)
            self.close_connection = True
            return True
        body = str(fault.get("body", "")).encode() + b" " * int(fault.get("size", 0))
        self._send(
            int(fault.get("status", 200)), fault.get("type", "application/json"), body, str(fault.get("location", ""))
        )
        return True

    def _discovery(self) -> None:
        issuer = self.state.issuer
        self._json(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "userinfo_endpoint": f"{issuer}/me",
                "jwks_uri": f"{issuer}/jwks",
            }
        )

    def _get_jwks(self, query: dict[str, str], body: bytes) -> None:
        self._json(self.state.jwks())

    def _get_calls(self, query: dict[str, str], body: bytes) -> None:
        self._json(self.state.calls)

    def _post_rotate(self, query: dict[str, str], body: bytes) -> None:
        self.state.rotate()
        self._json({})

    def _get_authorize(self, query: dict[str, str], body: bytes) -> None:
        """The sign-in page."""
        if query.get("client_id") != self.state.client or query.get("response_type") != "code":
            return self._json({"error": "unauthorized_client"}, 400)
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in query.items()
        )
        page = f'<form action="/authorize" method="post">{hidden}<input name="login"><input name="password"></form>'
        self._send(200, "text/html", page.encode())
        return None

    def _post_authorize(self, query: dict[str, str], body: bytes) -> None:
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        user = self.state.users.get(form.get("login", ""))
        back: dict[str, str] = {"state": form.get("state", "")}
        if user is None or user.get("refuse"):
            back["error"] = user["refuse"] if user else "access_denied"
        else:
            code = secrets.token_urlsafe(16)
            self.state.codes[code] = form
            back["code"] = code
        back |= (user or {}).get("answer", {})
        target = form["redirect_uri"]
        self._send(302, "text/plain", b"", f"{target}{'&' if '?' in target else '?'}{urlencode(back)}")

    def _post_token(self, query: dict[str, str], body: bytes) -> None:
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        code = self.state.codes.pop(form.get("code", ""), None)
        user = self.state.users.get(code["login"], {}) if code else {}
        if self._broken(user.get("token")):
            return
        if not self._authenticated(form):
            self._json({"error": "invalid_client"}, 401)
            return
        if code is None or code["redirect_uri"] != form.get("redirect_uri") or not proves(code, form):
            self._json({"error": "invalid_grant"}, 400)
            return
        token = secrets.token_urlsafe(16)
        self.state.tokens[token] = code["login"]
        answer: dict[str, Any] = {"access_token": token, "token_type": "bearer", "scope": code.get("scope", "")}
        if "openid" in code.get("scope", "").split():
            answer["id_token"] = self.state.id_token(user, code["login"], code.get("nonce", ""), token)
        self._json(answer | user.get("answered", {}))

    def _authenticated(self, form: dict[str, str]) -> bool:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(value).decode().partition(":")
            given = (unquote_plus(name), unquote_plus(secret))
        else:
            given = (form.get("client_id", ""), form.get("client_secret", ""))
        return given == (self.state.client, self.state.secret)

    def _get_me(self, query: dict[str, str], body: bytes) -> None:
        login = self.state.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if login is None:
            return self._json({"error": "invalid_token"}, 401)
        user = self.state.users[login]
        if not self._broken(user.get("me")):
            self._json(user.get("userinfo", {}))
        return None


def proves(code: dict[str, str], form: dict[str, str]) -> bool:
    """PKCE, method S256 (RFC 7636 4.6)."""
    if "code_challenge" not in code:
        return "code_verifier" not in form
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == code["code_challenge"]


def main(port: int, client: str, secret: str) -> None:
    """Serve until SIGTERM."""
    issuer = f"http://127.0.0.1:{port}"
    server = ThreadingHTTPServer(
        ("127.0.0.1", port), type("Bound", (Handler,), {"state": State(issuer, client, secret)})
    )
    server.daemon_threads = True
    print(json.dumps({"issuer": issuer}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
