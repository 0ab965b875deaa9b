"""JSON with comments: the second format, chosen by content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.settings import ConfigurationError, load_settings
from oc.od.settings.jsonc import JsoncError, read_jsonc, without_comments

TEXT = """
{
  // the address
  "server.socket_port": 8080, /* two
  lines */
  "default_host_url": "https://x.org/", // not a comment: "//"
  "desktop.pod": { "graphical": { "enable": true, "tcpport": 6081, "image": null, }, },
  "language": [ "fr_FR", ],
  "tipsinfo": { "text": "a // b /* c */ , ]", "half": 1.5, "emoji": "\\ud83d\\ude00", "slash": "a\\/b" }
}
"""


def load(tmp_path: Path, text: str) -> object:
    file = tmp_path / "config.jsonc"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, {})


def test_a_file_that_starts_with_a_brace_is_json_with_comments(tmp_path: Path) -> None:
    file = tmp_path / "config.jsonc"
    file.write_text(TEXT, encoding="utf-8")
    settings = load_settings(file, {})
    assert settings.server.socket_port == 8080
    assert settings.http.default_host_url == "https://x.org/"
    assert settings.pod.entry("graphical").enable is True
    assert settings.language == ("fr_FR",)
    assert settings.front.tipsinfo == {"text": "a // b /* c */ , ]", "half": 1.5, "emoji": "\U0001f600", "slash": "a/b"}


def test_errors_in_values_name_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, '{\n"desktop.pod": {},\n// no\n"server.socket_port": "x"\n}')
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == ("server.socket_port", 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [('{\n"a": 1,\n"b": tru\n}', 3), ("{\n'a': 1}", 2), ('{"a": 1', 1), ('{"a": NaN}', 1), ('{"a": 1} {"b": 2}', 1)],
)
def test_broken_json_is_an_error_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert caught.value.problems[0].line == line


def test_python_is_not_run_in_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not JSON"):
        load(tmp_path, '{"a": open("x")}')


def test_a_repeated_key_is_a_warning() -> None:
    values, _, repeated = read_jsonc('{"a": 1,\n"b": {"c": 1,\n"c": 2}}')
    assert values == {"a": 1, "b": {"c": 2}}
    assert repeated == [("b.c", 3)]


def test_deep_nesting_is_refused_without_a_crash() -> None:
    with pytest.raises(JsoncError):
        read_jsonc('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")


def test_a_list_is_no_configuration() -> None:
    with pytest.raises(JsoncError, match="expected one object"):
        read_jsonc("[1]")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=5), st.sampled_from([None, 1, 4]))
def test_plain_json_is_read_as_json_reads_it(value: dict[str, object], indent: int | None) -> None:
    assert read_jsonc(json.dumps(value, indent=indent))[0] == value


@given(st.text(alphabet='/*"\\ab,]}\n ', max_size=40))
def test_blanking_comments_keeps_every_line_and_column(text: str) -> None:
    bare = without_comments(text)
    assert len(bare) == len(text)
    assert [len(line) for line in bare.split("\n")] == [len(line) for line in text.split("\n")]
