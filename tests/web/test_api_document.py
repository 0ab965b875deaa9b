"""``/API/openapi.json`` describes every exposed route; ``/API/docs`` shows it to people."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from werkzeug.wrappers import Request, Response

import controllers
from devstack.service import Service
from oc.web.docspage import PAGE, PAGE_HEADERS
from oc.web.exposing import METHODS_WITH_BODY
from oc.web.openapi import body_type
from tests.support import Api

from .document import Operation, operations, product_document
from .harness import Client, make_services, serving

OPERATIONS = list(operations())
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = product_document()["paths"][operation.path][operation.method.lower()]
    return found


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """The product's controllers without backends, the document open to everybody."""
    with serving(package=controllers, services=make_services({"openapi_public": True})) as running:
        yield running


# --- the document -----------------------------------------------------------------------------------------------------


def test_there_is_an_operation_for_every_exposed_method_and_no_other():
    paths = product_document()["paths"]
    listed = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    assert listed == {(operation.path, operation.method) for operation in OPERATIONS}
    assert len(listed) > 70


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_each_operation_tells_request_answer_and_failures(operation: Operation):
    found, route = described(operation), operation.endpoint.route
    assert found["summary"], "the first line of the docstring is the summary"
    responses = found["responses"]
    assert responses["200"]["content"], "what does it answer?"
    assert {"400", "403", "404", "500", "default"} <= set(responses)
    assert ("401" in responses) == (route.auth in ("user", "optional", "login"))
    takes_body = route.body is not None and operation.method in METHODS_WITH_BODY
    assert ("requestBody" in found) == takes_body
    assert takes_body == ("415" in responses)
    named = {parameter["name"] for parameter in found.get("parameters", []) if parameter["in"] == "path"}
    assert named == set(re.findall(r"\{([a-z_]+)\}", operation.path))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_who_may_call_is_said(operation: Operation):
    expected = {
        "user": [{"user": []}],
        "optional": [{"user": []}, {}],
        "manager": [{"operator": []}, {}],
        "none": None,
        "login": None,
    }
    assert described(operation).get("security") == expected[operation.endpoint.route.auth]


def test_every_schema_of_the_document_is_one():
    document = product_document()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for operation in OPERATIONS:
        for content in described(operation)["responses"]["200"]["content"].values():
            jsonschema.Draft202012Validator.check_schema(content.get("schema", {}))


def test_a_typed_body_is_described_by_its_type():
    ocrun = product_document()["paths"]["/API/composer/ocrun"]["post"]
    assert ocrun["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/RunRequest"}
    assert product_document()["components"]["schemas"]["RunRequest"]["required"] == ["image"]
    assert {body_type(operation.endpoint.route).__name__ for operation in OPERATIONS} >= {"RunRequest", "KeyRequest"}


def test_the_answers_of_the_published_applications_have_the_fields_of_the_contract():
    fields = product_document()["components"]["schemas"]["UserApplication"]["required"]
    assert len(fields) == 25
    assert not {"acl", "rules", "securitycontext", "cmd"} & set(fields)


# --- serving it -------------------------------------------------------------------------------------------------------


def test_both_names_answer_the_same_document(client: Client):
    answer = client.get("/API/openapi.json")
    assert answer.status == 200
    assert answer.json == json.loads(json.dumps(product_document()))
    assert client.get("/API/openapi").body == answer.body


def test_by_default_the_document_is_for_operators(own_service: Callable[..., Service]):
    service = own_service({"openapi_public": None})
    with Api(service.url, service.api_key) as api:
        for name in ("openapi.json", "openapi"):
            assert api.get(name).json() == {"status": 403, "message": "403.1 - Execute access forbidden"}
            assert api.get(name, headers={"X-API-Key": "wrong"}).status_code == 403
            assert api.get(name, headers={"X-API-Key": api.api_key}).json()["openapi"] == "3.1.0"


def test_by_default_the_document_is_for_the_networks_of_operators():
    policy = {"ManagerController": {"permitip": ["10.9.0.0/16"]}}
    with serving(package=controllers, services=make_services({"controllers": policy})) as closed:
        answer = closed.get("/API/openapi.json")
    assert (answer.status, answer.message) == (403, "403.7 - IP address access denied")


def test_the_page_allows_nothing_but_itself(client: Client):
    answer = client.get("/API/docs")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=\"?(https?:)?//", PAGE)


# --- in a browser -----------------------------------------------------------------------------------------------------


def rendered(url: str, profile: Path) -> str:
    """The page as the browser has it after its scripts ran."""
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


@needs_browser
def test_a_browser_shows_every_operation(client: Client, tmp_path: Path):
    page = rendered(f"http://127.0.0.1:{client.port}/API/docs", tmp_path)
    assert f'data-operations="{len(OPERATIONS)}"' in page
    for operation in OPERATIONS:
        assert f'id="{described(operation)["operationId"]}"' in page
        assert operation.path in page
    assert 'id="keyform" hidden' in page


@needs_browser
def test_a_browser_without_a_key_is_asked_for_one(tmp_path: Path):
    values = {"controllers": {"ManagerController": {"permitip": ["127.0.0.0/8"], "apikey": ["secret"]}}}
    with serving(package=controllers, services=make_services(values)) as closed:
        page = rendered(f"http://127.0.0.1:{closed.port}/API/docs", tmp_path)
    assert "403.1 - Execute access forbidden" in page
    assert 'id="keyform" hidden' not in page
    assert "data-operations" not in page


@needs_browser
def test_a_text_of_the_document_never_becomes_markup(tmp_path: Path, hostile: str):
    page = rendered(f"{hostile}/API/docs", tmp_path)
    assert 'data-operations="1"' in page
    assert "<img" not in page
    assert "&lt;img" in page


@pytest.fixture
def hostile() -> Iterator[str]:
    """The page with a document whose texts are markup."""
    import threading

    from werkzeug.serving import make_server

    evil = "<img src=x onerror=document.body.dataset.hacked=1>"
    operation = {"operationId": "a", "tags": [evil], "summary": evil, "responses": {"200": {"description": evil}}}
    document = {
        "info": {"description": evil},
        "paths": {evil: {"get": operation}},
        "components": {"schemas": {evil: {"description": evil}}},
    }

    @Request.application
    def application(request: Request) -> Response:
        if request.path == "/API/docs":
            return Response(PAGE, headers=dict(PAGE_HEADERS), content_type="text/html; charset=utf-8")
        return Response(json.dumps(document), content_type="application/json")

    server = make_server("127.0.0.1", 0, application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)
    server.server_close()
