"""Request bodies: the table of http-api.md 2.5, over HTTP."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .harness import Client

JSON = {"Content-Type": "application/json"}
ECHO = "/API/sample/echo"
MIB = 1024 * 1024


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON;charset=UTF-8",
        "text/javascript",
        "text/javascript; charset=utf-8",
    ],
)
def test_json_and_javascript_types_are_accepted(sample: Client, content_type):
    answer = sample.request("POST", ECHO, b'{"a": 1}', {"Content-Type": content_type})
    assert answer.json == {"status": 200, "result": {"a": 1}, "message": "ok"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/html", "", "json"])
def test_another_type_is_415(sample: Client, content_type):
    answer = sample.request("POST", ECHO, b'{"a": 1}', {"Content-Type": content_type})
    assert (answer.status, answer.json["status"]) == (415, 415)


def test_a_missing_type_is_415(sample: Client):
    assert sample.request("POST", ECHO, b'{"a": 1}').status == 415


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b"{'a': 1}", b'{"a": 1}}', b'{"a": NaN}', b'{"a": "\xff"}', b"\x00", b'{"a" 1}', b'{"a":1,}'],
)
def test_malformed_json_is_400(sample: Client, body):
    answer = sample.request("POST", ECHO, body, JSON)
    assert (answer.status, answer.message) == (400, "Invalid JSON document")


def test_json_nested_too_deeply_is_400(sample: Client):
    assert sample.request("POST", "/API/sample/anything", b"[" * 200_000 + b"]" * 200_000, JSON).status == 400
    assert sample.request("POST", ECHO, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON).status == 400


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_json_of_another_shape_is_400(sample: Client, body):
    answer = sample.request("POST", ECHO, body, JSON)
    assert answer.status == 400
    assert answer.message.startswith("invalid parameters")


@pytest.mark.parametrize("body", [b"[1]", b"1", b'"text"', b"null"])
def test_a_route_for_any_json_takes_every_shape(sample: Client, body):
    assert sample.request("POST", "/API/sample/anything", body, JSON).body.strip() == body


@pytest.mark.parametrize("path", ["echo", "options"])
@pytest.mark.parametrize("body", [b"", b"  \r\n", None])
def test_an_absent_or_empty_body_stands_for_an_empty_object(sample: Client, path, body):
    assert sample.request("POST", f"/API/sample/{path}", body).status == 200


def test_an_empty_body_is_400_where_one_is_needed(sample: Client):
    for path in ("strict", "run", "anything"):
        assert sample.request("POST", f"/API/sample/{path}", b"", JSON).status == 400


def test_a_missing_length_is_411_where_a_body_is_needed(sample: Client):
    answer = sample.request("POST", "/API/sample/run", None, JSON, length=None)
    assert (answer.status, answer.json["status"]) == (411, 411)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "١"])
def test_an_invalid_length_is_400(sample: Client, length):
    import socket

    head = f"POST {ECHO} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sample.port), timeout=5) as raw:
        raw.sendall(head.encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_chunked_body_is_accepted(sample: Client):
    headers = {**JSON, "Transfer-Encoding": "chunked"}
    body = b'5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
    assert sample.request("POST", ECHO, body, headers, length=None).json["result"] == {"a": 1}


def test_a_chunked_body_beyond_the_limit_is_413(sample: Client):
    chunk = b" " * MIB
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for _ in range(3)) + b"0\r\n\r\n"
    try:
        answer = sample.request("POST", ECHO, body, {**JSON, "Transfer-Encoding": "chunked"}, length=None)
    except (BrokenPipeError, ConnectionResetError):
        pytest.skip("the server closed before the client had written everything")
    assert answer.status == 413


def test_a_body_beyond_two_mebibytes_is_413(sample: Client):
    document = b'{"a": "' + b"x" * (2 * MIB) + b'"}'
    answer = sample.request("POST", ECHO, document, JSON)
    assert (answer.status, answer.json["status"]) == (413, 413)


def test_a_body_of_almost_two_mebibytes_is_accepted(sample: Client):
    document = b'{"a": "' + b"x" * (2 * MIB - 100) + b'"}'
    assert sample.request("POST", ECHO, document, JSON).status == 200


def test_a_route_may_take_sixteen_mebibytes(sample: Client):
    items = b"[" + b"1," * (4 * MIB) + b"1]"
    assert sample.request("POST", "/API/sample/large", items, JSON).json == 4 * MIB + 1


def test_an_announced_length_beyond_every_limit_is_413_at_once(sample: Client):
    assert sample.request("POST", "/API/sample/large", None, JSON, length=str(10**12)).status == 413


def test_a_body_and_a_type_on_get_are_ignored(sample: Client):
    answer = sample.request("GET", "/API/sample/both", b"nonsense", {"Content-Type": "text/javascript"})
    assert (answer.status, answer.json) == (200, {})
    assert sample.request("DELETE", "/API/sample/thing/x", b"{", {"Content-Type": "text/javascript"}).status == 200


def test_a_route_without_body_needs_neither_type_nor_length(sample: Client):
    assert sample.request("POST", "/API/sample/nothing", None).status == 200
    assert sample.request("POST", "/API/healthz", b"anything", {"Content-Type": "x/y"}).body == b"OK"
    assert sample.request("POST", "/API/version", b"{}", JSON).status == 200


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "image"),
        ({"image": ""}, "image"),
        ({"image": 5}, "image"),
        ({"image": "x" * 21}, "image"),
        ({"image": "a", "args": ["x"]}, "args"),
    ],
)
def test_a_bad_parameter_is_400_and_named(sample: Client, document, words):
    answer = sample.post("/API/sample/run", document)
    assert answer.status == 400
    assert words in answer.message


def test_unknown_parameters_are_ignored(sample: Client):
    answer = sample.post("/API/sample/run", {"image": "a", "pod_name": "x", "width": 3})
    assert answer.json["result"] == {"image": "a", "args": None}


def test_a_connection_is_kept_after_a_refused_body(sample: Client):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", sample.port, timeout=5)
    connection.request("POST", "/API/sample/nowhere", b'{"a": 1}', JSON)
    first = connection.getresponse()
    assert first.status == 404
    first.read()
    connection.request("GET", "/API/healthz")
    assert connection.getresponse().read() == b"OK"
    connection.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        ),
    )
)
def test_any_json_object_comes_back_as_it_was_sent(sample: Client, document):
    answer = sample.request("POST", ECHO, json.dumps(document).encode(), JSON)
    assert answer.json["result"] == document


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_no_bytes_make_the_server_fail(sample: Client, body):
    answer = sample.request("POST", ECHO, body, JSON)
    assert answer.status in (200, 400)
    assert answer.json["status"] == answer.status
