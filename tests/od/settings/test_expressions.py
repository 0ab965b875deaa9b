"""The values of the file: literals are read, nothing is executed."""

from __future__ import annotations

import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.settings.expressions import ExpressionError, Located, evaluate
from oc.od.settings.masking import pretty

LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.binary(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(LITERALS)
def test_every_literal_is_read_back_as_it_was_written(value: object) -> None:
    assert evaluate(repr(value)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=60),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=12), inner, max_size=6),
        max_leaves=30,
    )
)
def test_the_pretty_form_of_a_value_is_read_back_as_the_value(value: object) -> None:
    assert evaluate(pretty(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("u'text'", "text"),
        ("'a' 'b'\n'c'".replace("\n", " "), "abc"),
        ("[ 'a'\n'b' ]", ["ab"]),
        ("'a' + 'b'", "ab"),
        ("[1] + [2]", [1, 2]),
        ("'-' * 3", "---"),
        ("3 * '-'", "---"),
        ("[0] * 2", [0, 0]),
        ("60 * 60 * 24", 86400),
        ("1 + 2 - 4", -1),
        ("-5", -5),
        ("+5", 5),
        ("-1.5", -1.5),
        ("0x10", 16),
        ("1_000", 1000),
        ("(1, 'x')", (1, "x")),
        ("{'a': 1}['a']", 1),
        ("[10, 20][-1]", 20),
        ("b'raw'", b"raw"),
        ("r'\\d+'", "\\d+"),
        ("'\\d'", "\\d"),
        ("socket.SOCK_STREAM", socket.SOCK_STREAM),
        ("socket.SOCK_DGRAM", socket.SOCK_DGRAM),
        ("{ 'socktype': socket.SOCK_STREAM }", {"socktype": socket.SOCK_STREAM}),
        ("", ""),
        ("  ", ""),
    ],
)
def test_the_operators_of_the_format_work_on_literals(text: str, value: object) -> None:
    assert evaluate(text) == value


MALICIOUS = {
    "__import__('os').system('touch /tmp/x')": "Call",
    "open('/etc/passwd').read()": "Call",
    "print": "Name",
    "os": "Name",
    "os.environ": "Attribute",
    "os.environ['HOME']": "Attribute",
    "socket.socket": "Attribute",
    "socket.SOCK_RAW": "Attribute",
    "socket.SOCK_STREAM.__class__": "Attribute",
    "''.__class__.__mro__": "Attribute",
    "().__class__.__bases__[0].__subclasses__()": "Call",
    "[].append": "Attribute",
    "'%s'.format": "Attribute",
    "'{0.__class__}'.format(1)": "Call",
    "lambda: 1": "Lambda",
    "(lambda: 1)()": "Call",
    "[x for x in (1, 2)]": "ListComp",
    "{x: 1 for x in (1, 2)}": "DictComp",
    "{x for x in (1,)}": "SetComp",
    "(x for x in (1,))": "GeneratorExp",
    "{1, 2}": "Set",
    "f'{open}'": "JoinedStr",
    "f'plain'": "JoinedStr",
    "1 if True else 2": "IfExp",
    "1 and 2": "BoolOp",
    "not True": "UnaryOp",
    "~1": "UnaryOp",
    "-'a'": "UnaryOp",
    "-True": "UnaryOp",
    "1 < 2": "Compare",
    "2 ** 99999999": "BinOp",
    "1 / 0": "BinOp",
    "1 << 99999": "BinOp",
    "'%s' % 'x'": "BinOp",
    "'a' + 1": "BinOp",
    "{'a': 1} + {'b': 2}": "BinOp",
    "'a' * 'b'": "BinOp",
    "'a' * True": "BinOp",
    "(y := 1)": "NamedExpr",
    "...": "Constant",
    "1j": "Constant",
    "[*'ab']": "Starred",
    "[1, 2][0:1]": "Slice",
    "1[0]": "Subscript",
    "[ 1, 2, exit() ]": "Call",
    "{ 'a': { 'b': exec('1') } }": "Call",
    "{ exec('1'): 1 }": "Call",
    "{ **{'a': 1} }": "Dict unpacking",
    "{ (1, 2): 3 }": "container",
    "await x": "Await",
    "yield 1": "Yield",
}


@pytest.mark.parametrize(("text", "node"), MALICIOUS.items())
def test_whatever_is_no_literal_is_refused_and_named(text: str, node: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text)
    assert node in str(caught.value) or "not a Python literal" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "1; import os",
        "1\nimport os",
        "_ = 1",
        "x = y = 1",
        "a.b = 1",
        "1)",
        "(1",
        "'open",
        "1 2",
        "import os",
        "@x",
        "\0",
    ],
)
def test_statements_and_broken_syntax_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text)


def test_a_refused_expression_in_a_file_names_key_line_and_node_only_once() -> None:
    from oc.od.settings.reader import read_text

    text = "[global]\nsafe: 1\nevil: {\n  'a': 1,\n  'b': __import__('os').system('id') }\n"
    (problem,) = read_text(text, "od.config").problems
    assert str(problem) == ("od.config:5: evil: Call is not allowed, expected a literal value (nothing is executed)")


def test_nothing_runs_while_a_file_is_refused(tmp_path: object) -> None:
    before = set(sys.modules)
    with pytest.raises(ExpressionError):
        evaluate("__import__('this')")
    assert "this" not in set(sys.modules) - before


@pytest.mark.parametrize(
    "text",
    [
        "'a' * 10000000",
        "[0] * 1000 * 10000",
        "'a' * 999999 + 'b' * 999999",
        "10**9",
        "9999999999999999 * 9999999999999999",
        "9" * 5000,
    ],
)
def test_small_texts_cannot_make_huge_values(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text)


@pytest.mark.parametrize("pair", ["[]", "()", "-"])
def test_deep_nesting_is_refused_without_a_crash(pair: str) -> None:
    text = "-" * 20000 + "1" if pair == "-" else pair[0] * 20000 + pair[1] * 20000
    with pytest.raises(ExpressionError):
        evaluate(text)


@pytest.mark.parametrize("text", ["{'a': 1}['b']", "[1][5]", "'x'['y']"])
def test_an_element_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match="no such element"):
        evaluate(text)


def test_error_messages_never_quote_the_value() -> None:
    for text in (
        "'hunter2",
        "{ 'password': 'hunter2'",
        "{ 'p': 'hunter2' + 5 }",
        "hunter2",
        "f'hunter2'",
        "'hunter2' 5",
    ):
        with pytest.raises(ExpressionError) as caught:
            evaluate(text)
        assert "hunter2" not in str(caught.value)


def test_the_lines_of_nested_values_are_recorded() -> None:
    located = Located()
    evaluate("{\n'a': 1,\n'b': [\n2,\n{ 'c ': 3 } ] }", located)
    assert located.lines[("a",)] == 2
    assert located.lines[("b",)] == 3
    assert located.lines[("b", 0)] == 4
    assert located.lines[("b", 1, "c")] == 5


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_an_error_never_a_crash(text: str) -> None:
    try:
        value = evaluate(text)
    except ExpressionError:
        return
    assert value is None or isinstance(value, str | int | float | bytes | list | tuple | dict)
