"""The line reader agrees with `configparser`, which defines the format, on every text configparser accepts."""

from __future__ import annotations

import configparser

from hypothesis import given, settings
from hypothesis import strategies as st

from oc.od.settings.inifile import IniFile, InterpolationError, interpolate

LINES = st.sampled_from(
    [
        "[global]",
        "[DEFAULT]",
        "[other]",
        "  [indented]",
        "a: 1",
        "a = 2",
        "b:{'x': 1,",
        "  'y': 2 }",
        "    deeper",
        "  c: 3",
        "\td = 4",
        "A: 'upper'",
        "url: 'http://x/?a=b'",
        "# comment",
        "  # indented comment",
        "; comment",
        "",
        "   ",
        "e:",
        "f = text ; no comment",
        "g: 'x' # kept",
        "p: '%%d'",
        "q: %(a)s",
        "r: %(b)s %(a)s",
        "s: 50%",
        "nonsense",
        "}",
        "=novalue",
        " : x",
        "k k : v v",
        "x=[",
        "1]",
    ]
)


class Reference(configparser.ConfigParser):
    """CherryPy's parser: names keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def reference(text: str) -> dict[str, dict[str, str]] | None:
    """Section -> key -> text as configparser reads it; None when it refuses."""
    parser = Reference()
    try:
        parser.read_string(text)
        return {name: dict(parser.items(name)) for name in parser.sections()}
    except configparser.Error:
        return None


def ours(text: str) -> dict[str, dict[str, str]] | None:
    ini = IniFile(text)
    if ini.errors:
        return None
    read: dict[str, dict[str, str]] = {}
    try:
        for name in ini.sections:
            options = ini.options(name)
            read[name] = {key: interpolate(option.text, options) for key, option in options.items()}
    except InterpolationError:
        return None
    return read


@settings(max_examples=500)
@given(st.lists(LINES, max_size=14))
def test_every_text_is_read_as_configparser_reads_it(lines: list[str]) -> None:
    text = "\n".join(["[first]", *lines])
    assert ours(text) == reference(text)


@settings(max_examples=200)
@given(st.text(alphabet="ab[]:=#;%() \n\t", max_size=60))
def test_random_texts_are_read_as_configparser_reads_them(text: str) -> None:
    assert ours(f"[s]\n{text}") == reference(f"[s]\n{text}")
