"""Plain HTTPS to a Kubernetes API server, and the placeholders that stand for values differing from run to run.

Needs PyYAML, and websocket-client for exec and attach.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import tempfile
import threading
import time
import urllib.parse
from typing import Any

import yaml

PLACEHOLDER = re.compile(
    r"<(uid|rv|name|continue|token)-(\d+)>|<(time|ip|hash|node|rv|pem|duration|managedFields|any)>"
)


class Server:
    """One API server named by a kubeconfig; `auth` of a call: admin (its user), anonymous, or 'bearer TOKEN'."""

    def __init__(self, kubeconfig: str):
        with open(kubeconfig, encoding="utf-8") as f:
            doc = yaml.safe_load(f)
        pick = lambda kind, name: next(x[kind] for x in doc[kind + "s"] if x["name"] == name)  # noqa: E731
        context = pick("context", doc["current-context"])
        self.cluster, self.user = pick("cluster", context["cluster"]), pick("user", context["user"])
        url = urllib.parse.urlsplit(self.cluster["server"])
        self.scheme, self.host = url.scheme, url.hostname or "localhost"
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self.folder = tempfile.TemporaryDirectory()
        self.ca = self._file(self.cluster, "certificate-authority")
        self.cert, self.key = self._file(self.user, "client-certificate"), self._file(self.user, "client-key")

    def close(self) -> None:
        """Remove the files made of the kubeconfig."""
        self.folder.cleanup()

    def _file(self, section: dict, name: str) -> str | None:
        if name + "-data" in section:
            path = os.path.join(self.folder.name, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(base64.b64decode(section[name + "-data"]))
            return path
        return section.get(name)

    def context(self, auth: str) -> ssl.SSLContext | None:
        if self.scheme != "https":
            return None
        c = ssl.create_default_context(cafile=self.ca)
        if self.cluster.get("insecure-skip-tls-verify"):
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        if auth == "admin" and self.cert:
            c.load_cert_chain(self.cert, self.key)
        return c

    def headers(self, auth: str) -> dict[str, str]:
        if auth.startswith("bearer "):
            return {"Authorization": "Bearer " + auth[7:]}
        if auth == "admin" and self.user.get("token"):
            return {"Authorization": "Bearer " + self.user["token"]}
        return {}

    def connect(self, auth: str, timeout: float = 70) -> http.client.HTTPConnection:
        if self.scheme == "https":
            return http.client.HTTPSConnection(self.host, self.port, context=self.context(auth), timeout=timeout)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one request in the records' form: {status, body, content_type[, warnings, retry_after]}."""
        if "websocket" in request:
            return self.stream(request)
        connection, auth = self.connect(request.get("auth", "admin")), request.get("auth", "admin")
        try:
            self._send(connection, request, auth)
            r = connection.getresponse()
            raw = r.read()
            r.close()
        finally:
            connection.close()
        answer: dict[str, Any] = {"status": r.status, "content_type": r.getheader("Content-Type", "")}
        if raw.startswith(b'{"type":'):  # a watch read to its end
            answer["events"] = [json.loads(line) for line in raw.splitlines()]
        else:
            try:
                answer["body"] = json.loads(raw) if raw[:1] in (b"{", b"[") else raw.decode("utf-8", "replace")
            except ValueError:
                answer["body"] = raw.decode("utf-8", "replace")
        if r.headers.get_all("Warning"):
            answer["warnings"] = r.headers.get_all("Warning")
        if r.getheader("Retry-After"):
            answer["retry_after"] = r.getheader("Retry-After")
        return answer

    def _send(self, connection: http.client.HTTPConnection, request: dict, auth: str) -> None:
        path = urllib.parse.quote(request["path"], safe="/:%")
        if request.get("query"):
            path += "?" + urllib.parse.urlencode([tuple(q) for q in request["query"]])
        headers = {"Accept": request.get("accept", "application/json"), **self.headers(auth)}
        body = None
        if "body" in request:
            body = request["body"] if isinstance(request["body"], str) else json.dumps(request["body"])
            body = body.encode()
        elif "body_size" in request:  # a ConfigMap whose one value has this many bytes
            body = json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "big"},
                    "data": {"k": "x" * request["body_size"]},
                }
            ).encode()
        if request.get("content_type"):
            headers["Content-Type"] = request["content_type"]
        connection.request(request["method"], path, body, headers)

    def watch(self, request: dict, during: list[dict], count: int, timeout: float) -> tuple[dict, list[dict]]:
        """Open a watch, send `during` once it answers, collect `count` events (or all until its end or `timeout`)."""
        connection, auth = self.connect(request.get("auth", "admin"), timeout), request.get("auth", "admin")
        events: list[dict] = []
        answers: list[dict] = []
        r: http.client.HTTPResponse | None = None
        try:
            self._send(connection, request, auth)
            r = connection.getresponse()
            answer: dict[str, Any] = {"status": r.status, "content_type": r.getheader("Content-Type", "")}
            if r.status != 200:
                raw = r.read()
                answer["body"] = json.loads(raw) if raw.startswith(b"{") else raw.decode()
                return answer, []

            def act() -> None:
                for step in during:
                    time.sleep(0.15)
                    answers.append(self.call(step))

            thread = threading.Thread(target=act)
            thread.start()
            try:
                while len(events) < count:
                    line = r.readline()
                    if not line:
                        break
                    if line.strip():
                        events.append(json.loads(line))
            except TimeoutError:
                pass
            thread.join()
        finally:
            if r is not None:
                r.close()
            connection.close()
        answer["events"] = events
        return answer, answers

    def stream(self, request: dict[str, Any]) -> dict[str, Any]:
        """exec, attach: every frame the server sends, joined by channel."""
        import websocket

        auth = request.get("auth", "admin")
        url = (
            f"{'wss' if self.scheme == 'https' else 'ws'}://{self.host}:{self.port}{request['path']}?"
            + urllib.parse.urlencode([tuple(q) for q in request.get("query", [])])
        )
        option = {"context": self.context(auth)} if self.scheme == "https" else {}
        ws = websocket.WebSocket(sslopt=option, skip_utf8_validation=True)
        try:
            try:
                ws.connect(url, header=self.headers(auth), subprotocols=request["websocket"]["protocols"], timeout=20)
            except websocket.WebSocketBadStatusException as e:
                raw = e.resp_body or b""
                try:
                    body = json.loads(raw)
                except ValueError:
                    body = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
                return {
                    "status": e.status_code,
                    "content_type": (e.resp_headers or {}).get("content-type", ""),
                    "body": body,
                }
            for channel, text in request["websocket"].get("send", []):
                ws.send_binary(bytes([channel]) + text.encode())
            channels: dict[str, str] = {}
            close = None
            while True:
                try:
                    code, data = ws.recv_data()
                except (
                    websocket.WebSocketConnectionClosedException,
                    websocket.WebSocketTimeoutException,
                    ConnectionError,
                    ssl.SSLError,
                ):
                    break
                if code == websocket.ABNF.OPCODE_CLOSE:
                    close = int.from_bytes(data[:2], "big") if data else None
                    break
                if data:
                    number = str(data[0]) if isinstance(data[0], int) else data[0]
                    channels[number] = channels.get(number, "") + data[1:].decode("utf-8", "replace")
            if channels.get("3", "").startswith("{"):
                channels["3"] = json.loads(channels["3"])
            return {"status": 101, "protocol": ws.subprotocol, "channels": channels, "close_code": close}
        finally:
            ws.close()
            ws.shutdown()


class Bindings:
    """What the numbered placeholders stand for while a file is replayed."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def fill(self, o: Any) -> Any:
        if isinstance(o, dict):
            return {k: self.fill(v) for k, v in o.items()}
        if isinstance(o, list):
            return [self.fill(v) for v in o]
        if isinstance(o, str):
            return PLACEHOLDER.sub(lambda m: self.values.get(m[0], m[0]), o)
        return o

    def match(self, want: Any, got: Any, at: str = "", contains: bool = False) -> list[str]:
        """The differences, one line each; none if `got` fits `want`."""
        if isinstance(want, str) and want in ("<managedFields>", "<any>"):
            return []
        if isinstance(want, str) and isinstance(got, str):
            return self._text(want, got, at)
        if isinstance(want, dict) and isinstance(got, dict):
            out = []
            for k, v in want.items():
                if k in got:
                    out += self.match(v, got[k], f"{at}/{k}", contains)
                elif v not in ("<managedFields>", "<any>"):
                    out.append(f"{at}/{k}: missing (want {json.dumps(v)[:120]})")
            if not contains:
                out += [
                    f"{at}/{k}: not expected ({json.dumps(v)[:120]})"
                    for k, v in got.items()
                    if k not in want and k != "managedFields"
                ]
            return out
        if isinstance(want, list) and isinstance(got, list):
            if contains:
                out = []
                for i, v in enumerate(want):
                    same = next(
                        (
                            g
                            for g in got
                            if isinstance(v, dict) and isinstance(g, dict) and self._key(v) == self._key(g)
                        ),
                        None,
                    )
                    if same is None and isinstance(v, dict) and self._key(v) is None:
                        same = next((g for g in got if not self.match(v, g, at, contains)), None)
                    if same is not None:
                        out += self.match(v, same, f"{at}/{i}", contains)
                    elif v not in got:
                        out.append(f"{at}/{i}: no such item: {json.dumps(v)[:120]}")
                return out
            if len(want) != len(got):
                return [f"{at}: {len(got)} items, want {len(want)}"]
            return [
                d
                for i, (w, g) in enumerate(zip(want, got, strict=False))
                for d in self.match(w, g, f"{at}/{i}", contains)
            ]
        return (
            []
            if want == got and type(want) is type(got)
            else [f"{at}: {json.dumps(got)[:160]}, want {json.dumps(want)[:160]}"]
        )

    @staticmethod
    def _key(item: dict) -> Any:
        return (
            item.get("name")
            or item.get("subresource")
            or item.get("resource")
            or item.get("groupVersion")
            or item.get("version")
            or (item.get("metadata") or {}).get("name")
        )

    def _text(self, want: str, got: str, at: str) -> list[str]:
        pattern, end, order = "", 0, []
        for m in PLACEHOLDER.finditer(want):
            pattern += re.escape(want[end : m.start()]) + "(.+?)"
            order.append(m[0])
            end = m.end()
        found = re.fullmatch(pattern + re.escape(want[end:]), got, re.S)
        if not found:
            return [f"{at}: {json.dumps(got)[:200]}, want {json.dumps(want)[:200]}"]
        out = []
        for name, value in zip(order, found.groups(), strict=False):
            if name == "<node>":
                self.values[name] = value
            if "-" not in name:
                continue
            old = self.values.setdefault(name, value)
            if name.startswith("<rv-"):  # a controller may write in between: the newest value counts
                self.values[name] = value
            elif old != value:
                out.append(f"{at}: {name} was {old}, is {value}")
        return out
