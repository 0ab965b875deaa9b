"""Envelope, error JSON and status codes: http-api.md 2.6 and 2.7, over HTTP."""

import logging

import pytest

from .harness import Client
from .sample import ERRORS


def test_success_has_exactly_status_result_and_message(sample: Client):
    assert sample.post("/API/sample/echo", {"a": [1]}).json == {"status": 200, "result": {"a": [1]}, "message": "ok"}


def test_a_result_may_be_null(sample: Client):
    assert sample.post("/API/sample/nothing", {}).json == {"status": 200, "result": None, "message": "ok"}


def test_a_success_may_carry_another_message(sample: Client):
    answer = sample.get("/API/sample/message").json
    assert answer == {"status": 200, "result": {"url": "/"}, "message": "a.you are logged in"}


def test_a_soft_error_travels_as_http_200_without_message(sample: Client):
    answer = sample.get("/API/sample/soft")
    assert answer.status == 200
    assert answer.json == {"status": 500, "result": None, "error": "the desktop could not be created"}


def test_a_bare_answer_has_no_envelope_and_may_add_headers(sample: Client):
    answer = sample.get("/API/sample/bare")
    assert (answer.json, answer.headers["X-Extra"]) == ([1, 2], "yes")


def test_content_keeps_its_own_type_and_status(sample: Client):
    answer = sample.get("/API/sample/content")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (201, b"token", "application/jwt")
    assert answer.headers["X-Extra"] == "yes"


def test_ready_json_is_sent_as_it_is(sample: Client):
    assert sample.get("/API/sample/fresh").body == b'{"status":200,"result":{"ready":true},"message":"ok"}\n'


def test_private_answers_are_not_cached(sample: Client):
    headers = sample.get("/API/sample/fresh").headers
    assert headers["Cache-Control"] == "no-cache, private"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-More"] == "1"


def test_json_is_the_content_type_and_the_server_keeps_its_version_to_itself(sample: Client):
    headers = sample.post("/API/sample/nothing", {}).headers
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Server"] == "pyos"


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("domain", 500, "the domain says no"),
        ("bad", 400, "bad parameter"),
        ("missing", 404, "no such desktop"),
        ("denied", 401, "Access is denied by security policy"),
        ("conflict", 409, "conflict"),
        ("kubernetes", 403, "pods is forbidden"),
        ("away", 503, "the database is away"),
        ("vendor", 500, "duplicate key"),
        ("bug", 500, "Internal api server error"),
        ("type", 500, "Internal api server error"),
    ],
)
def test_an_error_has_its_own_status_and_exactly_two_keys(sample: Client, name, status, message):
    answer = sample.get(f"/API/sample/raise/{name}")
    assert answer.status == status
    assert answer.json == {"status": status, "message": message}
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.body.endswith(b"}\n")


def test_nothing_internal_reaches_the_client(sample: Client):
    text = sample.get("/API/sample/raise/bug").body + sample.get("/API/sample/unencodable").body
    for word in (b"hunter2", b"Traceback", b"RuntimeError", b"object"):
        assert word not in text


def test_a_bug_is_logged_with_its_stack_but_a_refusal_is_not(sample: Client, caplog):
    with caplog.at_level(logging.INFO):
        sample.get("/API/sample/raise/bug")
        sample.get("/API/sample/raise/missing")
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None
    assert errors[0].exc_info[1] is ERRORS["bug"]


def test_retry_after_is_told_when_it_is_known(sample: Client):
    assert sample.get("/API/sample/raise/away").headers["Retry-After"] == "7"


def test_error_bodies_are_neither_padded_nor_escaped(sample: Client):
    answer = sample.get("/API/sample/<b>&")
    assert answer.json == {"status": 404, "message": "the requested resource does not exist"}
    assert len(answer.body) < 200
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_an_answer_that_cannot_be_encoded_is_a_500(sample: Client):
    assert sample.get("/API/sample/unencodable").json == {"status": 500, "message": "Internal api server error"}
