"""The line structure of the file: what `configparser` and CherryPy accept, and where errors are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from oc.od.settings import ConfigurationError, load_settings
from oc.od.settings.reader import MAX_FILE_SIZE, read_text

from .support import FIRST_LINE, Failures, Loader, found


def values(text: str) -> dict[str, object]:
    """The `[global]` values of a text that has no problem."""
    parsed = read_text(text, "od.config")
    assert parsed.problems == []
    return parsed.values


def problem(text: str) -> str:
    """The one problem of a text, as it is printed."""
    (only,) = read_text(text, "od.config").problems
    return str(only)


def test_both_delimiters_are_accepted_with_and_without_blanks() -> None:
    text = "[global]\na:1\nb: 2\nc = 3\nd =4\ne:{'x':'=:'}\n"
    assert values(text) == {"a": 1, "b": 2, "c": 3, "d": 4, "e": {"x": "=:"}}


def test_the_first_delimiter_of_a_line_ends_the_key() -> None:
    assert values("[global]\nurl: 'http://x/?a=b'\nother = 'a:b'\n") == {"url": "http://x/?a=b", "other": "a:b"}


def test_keys_keep_their_case_and_their_dots() -> None:
    assert values("[global]\nK8S_X: 1\ndesktop.hostPathRoot: 2\nk8s_x: 3\n") == {
        "K8S_X": 1,
        "desktop.hostPathRoot": 2,
        "k8s_x": 3,
    }


def test_a_value_goes_on_in_lines_that_are_indented_more_than_its_key() -> None:
    assert values("[global]\na: {\n  'x': 1,\n\n  'y': [\n 2 ]\n  }\nb: 3\n") == {"a": {"x": 1, "y": [2]}, "b": 3}


def test_a_tab_indents_too() -> None:
    assert values("[global]\na: [\n\t1,\n\t2 ]\n") == {"a": [1, 2]}


def test_an_indented_key_after_an_unindented_one_is_a_continuation_line() -> None:
    assert problem("[global]\na: 1\n  b: 2\n").startswith("od.config:3: a: more than one statement")


def test_a_closing_brace_in_column_0_is_an_error_with_its_line() -> None:
    assert [str(p) for p in read_text("[global]\na: {\n  'x': 1\n}\n", "od.config").problems] == [
        "od.config:4: neither a key nor an indented continuation line, expected 'key: value'",
        "od.config:2: a: not a Python literal: '{' was never closed",
    ]


@pytest.mark.parametrize("mark", ["#", ";"])
def test_full_line_comments_are_dropped_inside_a_value_too(mark: str) -> None:
    assert values(f"{mark} top\n[global]\na: [ 1,\n  {mark} no, 'x'\n{mark} nor here\n  2 ]\n{mark} end\n") == {
        "a": [1, 2]
    }


def test_a_comment_line_inside_a_multi_line_text_is_dropped() -> None:
    assert values('[global]\na: """one\n  # two\n  three"""\n') == {"a": "one\nthree"}


def test_a_hash_after_a_value_is_a_comment() -> None:
    assert values("[global]\na: None # off\nb: [ 1, # one\n  2 ] # two\n") == {"a": None, "b": [1, 2]}


def test_a_semicolon_after_a_value_is_tolerated_only_when_nothing_follows() -> None:
    assert values("[global]\na: 1.1;\n") == {"a": 1.1}
    assert "more than one statement" in problem("[global]\na: 1.1; 2\n")
    assert "not a Python literal" in problem("[global]\na: 1.1 ; text here\n")


def test_a_repeated_key_is_an_error_that_names_both_lines() -> None:
    assert problem("[global]\na: 1\nb: 2\na: 3\n") == (
        "od.config:4: a: stands twice, the first time in line 2; expected once"
    )


def test_a_repeated_section_is_an_error() -> None:
    assert problem("[global]\na: 1\n[global]\nb: 2\n") == "od.config:3: section [global] stands twice, expected once"


def test_a_repeated_key_inside_a_dict_is_a_warning_and_the_last_one_counts(load: Loader) -> None:
    settings = load("fail2ban: { 'failsbeforeban': 3,\n  'failsbeforeban': 4 }\n")
    assert settings.fail2ban.failsbeforeban == 4
    (warning,) = settings.warnings
    assert (warning.key, warning.line) == ("fail2ban.failsbeforeban", FIRST_LINE + 1)
    assert "stands twice" in warning.text


def test_the_section_DEFAULT_gives_values_to_keys_that_global_does_not_set() -> None:
    assert values("[DEFAULT]\na: 1\nb: 2\n[global]\nb: 3\n") == {"a": 1, "b": 3}


def test_other_sections_are_ignored(load: Loader) -> None:
    settings = load("[/]\ntools.staticdir.on: True\n[/img]\nx: undefined_name()\n")
    assert settings.warnings == ()


def test_a_file_without_the_section_global_is_an_error() -> None:
    assert problem("[other]\na: 1\n") == "od.config: no section [global], expected the keys there"


def test_a_key_before_any_section_is_an_error() -> None:
    assert "od.config:1: no section yet, expected [global] before the first key" in [
        str(p) for p in read_text("a: 1\n[global]\nb: 2\n", "od.config").problems
    ]


def test_a_doubled_percent_sign_is_one() -> None:
    assert values("[global]\na: '%%(message)s %%Y-%%m'\n") == {"a": "%(message)s %Y-%m"}


def test_a_reference_inserts_the_text_of_another_key() -> None:
    assert values("[global]\nhost: 'x.org'\nurl: 'https://' + %(host)s\n") == {"host": "x.org", "url": "https://x.org"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: '50%'", "a lone %"),
        ("a: '%d'", "a lone %"),
        ("a: '%(missing)s'", "names no key"),
        ("a: '%(a)s'", "refers to itself"),
        ("a: %(b)s\nb: %(a)s", "refers to itself"),
    ],
)
def test_a_percent_sign_that_cannot_be_replaced_is_an_error(text: str, reason: str) -> None:
    problems = read_text(f"[global]\n{text}\n", "od.config").problems
    assert problems
    assert all(reason in str(found) and found.line in (2, 3) for found in problems)


def test_references_cannot_blow_up_the_file() -> None:
    lines = ["k0: '" + "x" * 900 + "'", *(f"k{n}: {f'%(k{n - 1})s ' * 40}" for n in range(1, 9))]
    assert any("too long" in str(p) for p in read_text("[global]\n" + "\n".join(lines), "od.config").problems)


def test_the_line_of_a_percent_error_is_the_line_it_stands_in() -> None:
    assert problem("[global]\na: {\n  'ok': 1,\n  'bad': '50%' }\n").startswith("od.config:4: a: a lone %")


def test_a_key_without_a_value_is_the_empty_text() -> None:
    assert values("[global]\na:\nb: 1\n") == {"a": "", "b": 1}


@pytest.mark.parametrize(("word", "right"), [("true", "True"), ("false", "False"), ("null", "None")])
def test_the_words_of_other_languages_are_errors_that_name_the_right_word(word: str, right: str) -> None:
    assert problem(f"[global]\na: {word}\n") == f"od.config:2: a: the word {word} is not known, expected {right}"


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "od.config"
    file.write_bytes(b"\xef\xbb\xbf[global]\ndesktop.pod: {}\nnamespace: 'n'\n")
    assert load_settings(file, {}).kubernetes.namespace == "n"


def test_windows_line_ends_are_accepted() -> None:
    assert values("[global]\r\na: [\r\n  1,\r\n  2 ]\r\nb: 3\r\n") == {"a": [1, 2], "b": 3}


def test_separators_other_than_line_ends_do_not_split_lines() -> None:
    assert values("[global]\na: 'x\u2028y\x0cz'\n") == {"a": "x\u2028y\x0cz"}


def test_text_beyond_ascii_is_read_as_utf_8(load: Loader) -> None:
    assert load("tipsinfo: { 'title': 'Bücher – 日本' }\n").front.tipsinfo == {"title": "Bücher – 日本"}


def test_a_backslash_at_a_line_end_inside_a_text_joins_the_lines() -> None:
    assert values("[global]\na: [ 'one && \\\n    two && \\ \n    three' ]\n") == {"a": ["one && two && three"]}


def test_blanks_around_nested_keys_are_dropped_with_a_warning(load: Loader) -> None:
    settings = load("auth.prelogin: { 'http_attribut ' : 'abcuserid', ' url': 'https://x.org/page' }\n")
    assert settings.auth.prelogin.http_attribut == "abcuserid"
    assert settings.auth.prelogin.url == "https://x.org/page"
    assert "'http_attribut '" in found(settings)["auth.prelogin.http_attribut"]
    assert "' url'" in found(settings)["auth.prelogin.url"]


def test_blanks_are_dropped_in_dicts_inside_lists_too(load: Loader) -> None:
    settings = load("desktop.pod: { 'spec': { 'tolerations': [ { 'key ': 'gpu' } ] } }\n".replace("desktop.pod", "x"))
    assert "x[0]" not in found(settings)
    settings = load("webrtc.rtc_configuration: { 'iceServers': [ { 'urls ': 'stun:s.org' } ] }\n")
    assert settings.webrtc.rtc_configuration == {"iceServers": [{"urls": "stun:s.org"}]}


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.config: cannot be read: No such file or directory"):
        load_settings(tmp_path / "nothing.config", {})


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings(tmp_path, {})


def test_a_file_that_is_not_utf_8_is_an_error_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "od.config"
    file.write_bytes(b"[global]\na: '\xe9'\n")
    with pytest.raises(ConfigurationError, match=r"od\.config:2: not UTF-8 text"):
        load_settings(file, {})


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "od.config"
    with file.open("wb") as stream:
        stream.truncate(MAX_FILE_SIZE + 1)
    with pytest.raises(ConfigurationError, match="expected at most"):
        load_settings(file, {})


def test_all_errors_of_a_file_are_reported_together_in_order(failures: Failures) -> None:
    problems = failures(
        "server.socket_port: 'x'\na: open('f')\nwebsocketrouting: 'elsewhere'\n"
        "jwt_token_user: { 'exp': 0,\n  'leeway': None }\n"
    )
    assert [(p.key, p.line) for p in problems] == [
        ("server.socket_port", FIRST_LINE),
        ("a", FIRST_LINE + 1),
        ("websocketrouting", FIRST_LINE + 2),
        ("jwt_token_user.exp", FIRST_LINE + 3),
        ("jwt_token_user.leeway", FIRST_LINE + 4),
    ]


def test_an_error_reads_file_line_key_problem_expectation(failures: Failures, tmp_path: Path) -> None:
    (problem,) = failures("server.socket_port: 99999\n")
    assert str(problem) == (
        f"{tmp_path}/od.config:{FIRST_LINE}: server.socket_port: "
        "99999 is not valid, expected a whole number between 0 and 65535"
    )


def test_an_error_deep_in_a_value_names_its_own_line(failures: Failures) -> None:
    text = "[global]\ndesktop.pod: {\n  # first\n  'graphical': {\n    'enable': True,\n\n    'tcpport': 'x' } }\n"
    (problem,) = failures(text, whole=True)
    assert (problem.key, problem.line) == ("desktop.pod.graphical.tcpport", 7)
