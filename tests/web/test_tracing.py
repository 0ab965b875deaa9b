"""Tracing and redaction: http-api.md 2.13. What is logged is read from real requests."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.logging import OdContextFilter
from oc.web.redaction import MASK, SECRET_KEYS, TRUNCATED, redact, redact_headers, traced

from .harness import Client, make_services, serving
from .sample import SampleController

SECRET = "hunter2-very-secret"


@pytest.fixture
def limited() -> Iterator[Client]:
    with serving(SampleController(), services=make_services({"max_log_body_size": 100}), threads=1) as client:
        yield client


@pytest.fixture(scope="module")
def single() -> Iterator[Client]:
    """One worker thread: when it answers a request, it has finished with the one before."""
    with serving(SampleController(), threads=1) as client:
        yield client


@pytest.fixture
def records(caplog) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def traces(records: pytest.LogCaptureFixture, client: Client) -> list[str]:
    client.get("/API/healthz")
    return [record.getMessage() for record in records.records if record.name == "oc.web.tracing"]


def everything(records: pytest.LogCaptureFixture, client: Client) -> str:
    client.get("/API/healthz")
    return "\n".join(record.getMessage() for record in records.records)


def test_a_request_and_its_answer_are_one_record_each(single: Client, records):
    single.post("/API/sample/echo", {"a": 1})
    assert traces(records, single) == [
        '/sample/echo {"a":1}',
        '/sample/echo 200 {"status":200,"result":{"a":1},"message":"ok"}',
    ]


def test_a_refused_request_is_traced_by_its_answer(single: Client, records):
    single.get("/API/sample/unknown")
    assert traces(records, single) == [
        '/sample/unknown 404 {"status":404,"message":"the requested resource does not exist"}'
    ]


def test_secrets_are_masked_in_requests_and_answers_at_any_depth(single: Client, records):
    document = {"password": SECRET, "result": {"authorization": SECRET, "list": [{"vncpassword": SECRET}]}, "a": "b"}
    answer = single.post("/API/sample/echo", document)
    assert answer.json["result"] == document  # the live object is untouched
    assert len(traces(records, single)) == 2
    assert SECRET not in "".join(traces(records, single))
    assert MASK in traces(records, single)[0]


@pytest.mark.parametrize("key", [*sorted(SECRET_KEYS), "PassWord", "Authorization"])
def test_every_secret_key_is_masked_whatever_its_case(key):
    assert redact({key: SECRET, "x": [{key: {"deep": SECRET}}, {key: 12345}]}) == {
        key: MASK,
        "x": [{key: MASK}, {key: MASK}],
    }


def test_headers_with_secrets_are_masked():
    headers = {"ABCAuthorization": SECRET, "authorization": SECRET, "X-API-Key": SECRET, "Cookie": SECRET, "Host": "h"}
    assert redact_headers(headers) == {**dict.fromkeys(headers, MASK), "Host": "h"}


def test_a_token_header_is_in_no_record(single: Client, records):
    single.post("/API/sample/maybe", {}, {"ABCAuthorization": f"Bearer {SECRET}", "X-API-Key": SECRET})
    assert SECRET not in everything(records, single)


def test_a_query_is_in_no_record(single: Client, records):
    single.get(f"/API/sample/client?code={SECRET}")
    single.get(f"/API/sample/unknown?code={SECRET}")
    assert everything(records, single)
    assert SECRET not in everything(records, single)


def test_a_long_answer_is_cut_with_a_mark(limited: Client, records):
    limited.post("/API/sample/echo", {"a": "x" * 5000})
    for line in traces(records, limited):
        text = line.partition(" {")[2]
        assert len(text) < 100 + len(TRUNCATED)
        assert line.endswith(TRUNCATED)


def test_a_short_answer_is_not_cut(limited: Client, records):
    limited.post("/API/sample/echo", {"a": "b"})
    assert not any(TRUNCATED in line for line in traces(records, limited))


def test_quiet_routes_leave_no_trace(single: Client, records):
    single.get("/API/healthz")
    single.post("/API/sample/quiet", {"a": 1})
    assert traces(records, single) == []


def test_content_that_is_not_json_shows_its_size_only(single: Client, records):
    single.get("/API/sample/content")
    assert traces(records, single)[-1] == "/sample/content 201 [5 bytes of application/jwt]"


def test_a_record_cannot_be_split_by_a_path(single: Client, records):
    single.get("/API/sample/thing/a%0Ab")
    assert all("\n" not in line for line in traces(records, single))


def test_records_of_a_request_carry_the_client_address_and_the_user(single: Client):
    seen: list[tuple[str, str]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((record.userid, record.ipaddr))  # type: ignore[attr-defined]

    handler = Keep()
    handler.addFilter(OdContextFilter())
    logger = logging.getLogger("oc.web.tracing")
    logger.addHandler(handler)
    level, logger.level = logger.level, logging.INFO
    try:
        single.post("/API/sample/echo", {}, {"X-Forwarded-For": "203.0.113.9"})
        single.get("/API/healthz")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert seen == [("anonymous", "203.0.113.9")] * 2


class Token(msgspec.Struct):
    name: str
    password: str


def test_structs_and_ready_json_are_traced_safely():
    assert traced(Token("fry", SECRET), 1000) == json.dumps({"name": "fry", "password": MASK}, separators=(",", ":"))
    assert traced({"result": msgspec.Raw(b'{"password":"x"}')}, 1000) == '{"result":"[16 bytes]"}'


def test_tracing_costs_the_limit_and_not_the_answer():
    class Counting(list[int]):
        read = 0

        def __iter__(self) -> Iterator[int]:
            for item in super().__iter__():
                self.read += 1
                yield item

    items = Counting(range(100_000))
    assert traced({"items": items}, 50).endswith(TRUNCATED)
    assert items.read < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(document=JSON, limit=st.integers(0, 300))
def test_any_document_can_be_traced_within_its_limit(document, limit):
    text = traced(document, limit)
    assert len(text.encode()) <= limit + len(TRUNCATED)
    if not text.endswith(TRUNCATED):
        assert json.loads(text) == redact(document)


@given(document=JSON)
def test_no_secret_survives_redaction(document):
    text = json.dumps(redact({"outer": document, "password": "S3CRET", "deep": [{"token": "S3CRET"}]}))
    assert "S3CRET" not in text
