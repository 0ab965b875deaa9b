"""URL resolution and methods: http-api.md 2.3 and 2.4, over HTTP."""

import pytest

from .harness import Client

HEALTH = "/API/healthz"


@pytest.mark.parametrize("target", [HEALTH, "/API//healthz", "/API/healthz/", "/API///healthz//"])
def test_empty_segments_and_a_trailing_slash_change_nothing(sample: Client, target):
    assert sample.get(target).body == b"OK"


@pytest.mark.parametrize(
    "target",
    [
        "/API/Healthz",
        "/API/nothing",
        "/API/sample/unheard",
        "/API/healthz/more",
        "/API",
    ],
)
def test_an_unknown_path_is_404_with_the_error_json(sample: Client, target):
    answer = sample.get(target)
    assert (answer.status, answer.json["status"]) == (404, 404)
    assert answer.message


@pytest.mark.parametrize("target", ["/autologin", "/api/healthz", "/oauth", "/status", "/API2/healthz", "/APIhealthz"])
def test_what_is_outside_the_mount_point_is_404(sample: Client, target):
    assert sample.get(target).status == 404


def test_segments_are_decoded_after_splitting(sample: Client):
    assert sample.get("/API/sample/thing/a%2Fb%3Ac").json == {"got": "a/b:c"}


def test_a_percent_sign_is_decoded_once(sample: Client):
    assert sample.get("/API/sample/thing/100%2525").json == {"got": "100%25"}
    assert sample.get("/API/sample/thing/a%252Fb").json == {"got": "a%2Fb"}


def test_text_in_segments_is_utf8(sample: Client):
    assert sample.get("/API/sample/thing/caf%C3%A9").json == {"got": "café"}
    assert sample.get("/API/sample/thing/caf%E9").status == 400


def test_a_nul_character_in_a_path_is_400(sample: Client):
    assert sample.get("/API/sample/thing/a%00b").status == 400


def test_an_overlong_path_is_refused(sample: Client):
    assert sample.get("/API/sample/thing/" + "a" * 5000).status == 400
    assert sample.get("/API/sample" + "/x" * 100).status == 400


def test_empty_segments_inside_a_path_are_ignored(sample: Client):
    assert sample.get("/API/sample/thing/d1//part/c1").json == ["d1", "c1"]


def test_a_literal_segment_wins_over_a_parameter(sample: Client):
    assert sample.get("/API/sample/thing/special").json == "special"


@pytest.mark.parametrize("target", ["a/b:1", "a%2Fb:1", "a/b:1/"])
def test_the_rest_of_a_path_is_joined_whether_encoded_or_not(sample: Client, target):
    assert sample.get(f"/API/sample/image/{target}").json == "a/b:1"


def test_extra_segments_on_a_fixed_route_are_404(sample: Client):
    assert sample.get("/API/sample/client/more").status == 404


def test_a_path_without_its_required_parameter_is_404(sample: Client):
    assert sample.get("/API/sample/thing").status == 404


def test_unknown_query_parameters_are_ignored(sample: Client):
    assert sample.get(f"{HEALTH}?probe=1&x=%20").body == b"OK"


def test_query_parameters_are_decoded(sample: Client):
    query = sample.get("/API/sample/client?a=1&b=x%20y&c=%C3%A9&a=2&force=TRUE").json
    assert query["query"] == {"a": "2", "b": "x y", "c": "é", "force": "TRUE"}
    assert query["flag"] is True


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("on", True), ("1", True), ("N", False), ("off", False)])
def test_a_flag_has_many_spellings(sample: Client, text, value):
    assert sample.get(f"/API/sample/client?force={text}").json["flag"] is value


def test_a_flag_of_another_spelling_is_400(sample: Client):
    assert sample.get("/API/sample/client?force=maybe").status == 400


@pytest.mark.parametrize("query", ["a=%ff", "&".join(f"k{n}=1" for n in range(100))])
def test_an_unacceptable_query_is_400(sample: Client, query):
    assert sample.get(f"{HEALTH}?{query}").status == 400


def test_helper_methods_are_no_routes(sample: Client):
    for name in ("helper", "settings", "__init__", "policy", "logger", "echo/__call__"):
        assert sample.post(f"/API/sample/{name}", {}).status == 404


def test_post_is_the_only_method_by_default(sample: Client):
    answer = sample.get("/API/sample/nothing")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.json == {"status": 405, "message": "method not allowed"}


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "PUT"])
def test_other_methods_are_405_with_allow(sample: Client, method):
    answer = sample.request(method, HEALTH)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_allow_names_the_methods_of_all_handlers_of_a_path(sample: Client):
    assert sample.request("PATCH", "/API/sample/thing/x").headers["Allow"] == "DELETE, GET, HEAD"
    assert sample.request("DELETE", "/API/sample/thing/x").json == {"deleted": "x"}


def test_head_is_accepted_where_get_is_and_has_no_body(sample: Client):
    answer = sample.request("HEAD", HEALTH)
    assert (answer.status, answer.body) == (200, b"")
    assert sample.request("HEAD", "/API/sample/nothing").status == 405


def test_there_is_no_cors(sample: Client):
    for method in ("GET", "OPTIONS"):
        headers = sample.request(method, HEALTH, headers={"Origin": "https://evil.example"}).headers
        assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_a_full_url_as_target_is_understood(sample: Client):
    assert sample.get(f"http://127.0.0.1:{sample.port}{HEALTH}").body == b"OK"


def test_a_missing_host_header_is_400_as_json(sample: Client):
    import socket

    with socket.create_connection(("127.0.0.1", sample.port), timeout=5) as raw:
        raw.sendall(b"GET /API/healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: raw.recv(4096), b""))
    assert text.startswith(b"HTTP/1.1 400")
    assert b'{"status":400,"message":' in text


def test_a_malformed_request_line_is_400_as_json(sample: Client):
    import socket

    with socket.create_connection(("127.0.0.1", sample.port), timeout=5) as raw:
        raw.sendall(b"NONSENSE\r\n\r\n")
        text = b"".join(iter(lambda: raw.recv(4096), b""))
    assert text.startswith(b"HTTP/1.1 400")
    assert b'{"status":400,"message":' in text
