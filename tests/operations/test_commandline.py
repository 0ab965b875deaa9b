"""Commands with values from outside: what is run is what the template says, whatever the values are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from oc.od.commandline import Command, CommandError, make_command, names_in, run_command

ATTACKS = [
    "$(touch {mark})",
    "`touch {mark}`",
    "; touch {mark};",
    "| touch {mark}",
    "&& touch {mark} &",
    "\ntouch {mark}\n",
    "' ; touch {mark} ; '",
    '" ; touch {mark} ; "',
    "'$(touch {mark})'",
    '"$(touch {mark})"',
    "\\'; touch {mark}; \\'",
    "'\"'\"'; touch {mark} #",
    "${{IFS}}$(touch {mark})",
    "> {mark}",
    'O\'Brien "the" boss',
    "*",
    "~root",
    "a b\tc",
    "{{{{ ipAddr }}}}",
    "%s%n",
    "!!",
    "é漢\u202e\x07",
    "",
]


@pytest.fixture
def show(tmp_path: Path) -> str:
    """A program that prints its arguments, one in each pair of angle brackets."""
    program = tmp_path / "showargs"
    program.write_text('#!/bin/sh\nfor word in "$@"; do printf "<%s>" "$word"; done\n')
    program.chmod(0o755)
    return str(program)


def run(template: str | list[str], values: dict[str, str]) -> str:
    outcome = run_command(make_command(template, values), timeout=20)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output.decode("utf-8", "surrogateescape")


TEMPLATES = [
    "{show} {{{{ name }}}} end",
    "{show} {{{{name}}}} end && true",
    '{show} "{{{{ name }}}}" end; true',
    "{show} '{{{{ name }}}}' end; true",
    "{show} \"$(printf '%s' x)\" >/dev/null; {show} {{{{& name }}}} end",
    "if true; then {show} {{{{{{ name }}}}}} end; fi",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_value_is_one_word_whatever_it_holds(tmp_path: Path, show: str, template: str, attack: str) -> None:
    mark = tmp_path / "mark"
    value = attack.format(mark=mark)
    assert run(template.format(show=show), {"name": value}) == f"<{value}><end>"
    assert not mark.exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_value_within_a_word_stays_within_it(tmp_path: Path, show: str, attack: str) -> None:
    mark = tmp_path / "mark"
    value = attack.format(mark=mark)
    quoted = f"""{show} 'a{{{{ name }}}}b' "c{{{{ name }}}}d"; true"""
    assert run(quoted, {"name": value}) == f"<a{value}b><c{value}d>"
    assert run([show, "--name={{ name }}"], {"name": value}) == f"<--name={value}>"
    assert not mark.exists()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "template",
    [
        'sh -c "echo {{ name }}"',
        "eval echo {{ name }}; true",
        ["/bin/sh", "-c", "echo {{ name }}"],
        "echo $(echo {{ name }})",
        'echo "$(echo "{{ name }}")"',
        "echo `echo {{ name }}`",
        "echo it\\'s {{ name }}; true # it's {{ name }}\ntrue '{{ name }}'",
        "cat <<END\n{{ name }}\nEND",
        "cat <<'END'\n{{ name }}\nEND",
        "echo ${HOME:-{{ name }}}; true",
        "true # {{ name }}\necho",
    ],
)
def test_no_template_runs_what_a_value_says(tmp_path: Path, template: str | list[str], attack: str) -> None:
    """The output may differ, the values may be cut into words: nothing of them is ever executed."""
    mark = tmp_path / "mark"
    command = make_command(template, {"name": attack.format(mark=mark)})
    run_command(command, timeout=20)
    assert not mark.exists()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_any_text_arrives_as_it_is(show: str, text: str) -> None:
    value = f".{text}"
    for template in (f"{show} {{{{ v }}}}; true", f"{show} '{{{{ v }}}}'; true", f'{show} "{{{{ v }}}}"; true'):
        assert run(template, {"v": value}) == f"<{value}>"


@pytest.mark.parametrize("value", ["-K/etc/passwd", "--output=/etc/passwd", "-"])
@pytest.mark.parametrize(
    "template", ["curl {{ name }}", "curl '{{ name }}'", 'curl "{{ name }}"; true', ["curl", "{{ name }}"]]
)
def test_a_value_is_never_read_as_an_option(template: str | list[str], value: str) -> None:
    with pytest.raises(CommandError, match="option") as caught:
        make_command(template, {"name": value})
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "{{ name }} --help",
        ["{{ name }}"],
        "/bin/{{ name }} x",
        "echo {{# name }}x{{/ name }}",
        "echo {{> file }}; true",
        "echo 'open",
        "echo \\{{ name }}; true",
        "",
        "  ",
        "a\0b",
        [],
        [""],
    ],
)
def test_templates_that_cannot_be_safe_are_refused(template: str | list[str]) -> None:
    with pytest.raises(CommandError):
        make_command(template, {"name": "fry"})


def test_a_line_without_anything_for_a_shell_is_run_without_one() -> None:
    command = make_command("curl -s 'http://10.0.0.1/add' -d {{ ipAddr }}", {"ipAddr": "10.1.2.3"})
    assert command.argv == ("curl", "-s", "http://10.0.0.1/add", "-d", "10.1.2.3")
    assert make_command("curl a | sh", {}).argv[0] == "/bin/sh"


def test_values_are_not_in_the_text_a_shell_reads_nor_in_representations() -> None:
    command = make_command("echo {{ secret }} | cat", {"secret": "s3cr3t"})
    assert not any("s3cr3t" in word for word in command.argv)
    assert "s3cr3t" not in repr(command)


def test_an_unknown_name_gives_nothing(show: str) -> None:
    assert run([show, "a{{ unknown }}b"], {}) == "<ab>"
    assert names_in(["{{ a }}", "x{{b}}{{{ c }}}"]) == {"a", "b", "c"}


def test_a_value_holds_no_nul_and_has_a_limit(show: str) -> None:
    assert run([show, "{{ v }}"], {"v": "a\0b"}) == "<ab>"
    assert len(make_command([show, "{{ v }}"], {"v": "x" * 100_000}).argv[1]) == 4096


def test_the_environment_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "mongodb://pyos:password@localhost")
    output = run(["/usr/bin/env"], {})
    assert {line.partition("=")[0] for line in output.splitlines()} <= {"PATH", "LANG", "HOME", "PWD", "_", "SHLVL"}


def test_the_exit_status_and_the_output_are_told() -> None:
    outcome = run_command(Command(("/bin/sh", "-c", "echo out; echo err >&2; exit 3")), timeout=20)
    assert outcome.exit_code == 3
    assert sorted(outcome.output.split()) == [b"err", b"out"]


def test_a_command_that_cannot_be_started_is_an_outcome() -> None:
    assert run_command(Command(("/does/not/exist",)), timeout=5).exit_code is None


def test_a_command_is_killed_with_its_children_when_its_time_is_over(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    outcome = run_command(
        Command(("/bin/sh", "-c", f"sleep 300 & echo $! >{pids}; trap '' TERM; sleep 300; true")), timeout=0.5
    )
    assert outcome.exit_code is None
    assert _gone(int(pids.read_text()))


def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    outcome = run_command(Command(("/bin/sh", "-c", f"sleep 300 & echo $! >{pids}")), timeout=20)
    assert outcome.exit_code == 0
    assert _gone(int(pids.read_text()))


def test_endless_output_fills_nothing() -> None:
    outcome = run_command(Command(("/usr/bin/yes",)), timeout=0.5, output_limit=1000)
    assert outcome.exit_code is None
    assert len(outcome.output) == 1000


def test_a_command_gets_no_input() -> None:
    assert run_command(Command(("/bin/cat",)), timeout=20).exit_code == 0


def _gone(pid: int) -> bool:
    """Whether the process is over (it may wait for its parent as a zombie)."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    os.kill(pid, 9)
    return False
