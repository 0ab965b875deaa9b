"""Send recorded exchanges to a server and compare its answers (see README.md).

usage: python -m tests.kube_golden.replay --kubeconfig FILE [--skip kubelet,scheduler,controllers,apps] [-v] TOPIC..
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .kubewire import Bindings, Server

HERE = Path(__file__).parent
RECORDS = HERE / "records"
DIFFERS = HERE / "DIFFERS.json"
Record = dict[str, Any]


def topics() -> list[str]:
    """The topics there are records of."""
    return sorted(path.stem for path in RECORDS.glob("*.jsonl"))


def records_of(topic: str) -> list[Record]:
    lines = (RECORDS / f"{topic}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def reached(answer: Any, pointer: str, value: Any) -> bool:
    """Whether an answer has the value at the pointer (`<any>`: any value)."""
    at = answer
    for part in pointer.strip("/").split("/"):
        if isinstance(at, list) and "=" in part:
            key, _, wanted = part.partition("=")
            at = next((item for item in at if isinstance(item, dict) and item.get(key) == wanted), None)
        elif isinstance(at, list):
            at = at[int(part)] if part.isdigit() and int(part) < len(at) else None
        else:
            at = at.get(part) if isinstance(at, dict) else None
    return (at is not None) if value == "<any>" else (at == value)


def drop(answer: Any, pointers: list[str]) -> Any:
    """Replace what the pointers name by <any>, which fits everything."""
    answer = json.loads(json.dumps(answer))
    for pointer in pointers:
        *parts, last = pointer.strip("/").split("/")
        at = answer
        for part in parts:
            if isinstance(at, list):
                at = at[int(part)] if int(part) < len(at) else {}
            else:
                at = at.get(part, {}) if isinstance(at, dict) else {}
        if isinstance(at, list) and last.isdigit() and int(last) < len(at):
            at[int(last)] = "<any>"
        elif isinstance(at, dict):
            at[last] = "<any>"
    return answer


def ask(server: Server, record: Record, bindings: Bindings) -> Any:
    """The server's answer to a record's request, repeated until the recorded condition holds; None: it never did."""
    request = bindings.fill(record["request"])
    if "events" in record["response"] and record.get("count") is not None:
        count = 99 if record.get("loose") else max(record["count"], 1)
        return server.watch(request, bindings.fill(record.get("during", [])), count, 20)[0]
    repeat = record.get("repeat_until")
    end = time.monotonic() + (repeat["timeout_s"] if repeat else 0)
    while True:
        answer = server.call(request)
        if not repeat or reached(answer, repeat["pointer"], repeat["value"]):
            return answer
        if time.monotonic() > end:
            return None
        time.sleep(0.1)


def compare(record: Record, answer: Any, bindings: Bindings, loose: list[str]) -> list[str]:
    """The differences between an answer and the record."""
    if answer is None:
        repeat = record["repeat_until"]
        return [f"never reached {repeat['pointer']} = {repeat['value']}"]
    want = record["response"]
    for part in ("retry_after", "warnings"):
        if part not in want and part not in answer:
            answer[part] = want[part] = None
    want = drop(want, [*record.get("loose", []), *loose])
    want = {key: value for key, value in want.items() if value is not None}
    got = {key: value for key, value in answer.items() if value is not None}
    return bindings.match(want, got, contains=record.get("match") == "contains")


def known_differences(topic: str) -> dict[str, Record]:
    """The entries of DIFFERS.json for a topic, by the record's name."""
    entries: list[Record] = json.loads(DIFFERS.read_text(encoding="utf-8"))
    return {entry["record"]: entry for entry in entries if entry["topic"] == topic}


def replay(server: Server, topic: str, skip: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """(record, what is wrong with the answer) for each record of a topic.

    A record in DIFFERS.json is compared without the parts named there; that it differs no more is wrong too.
    """
    bindings, known = Bindings(), known_differences(topic)
    for record in records_of(topic):
        if record.get("needs") in skip:
            continue
        name = record["name"]
        answer = ask(server, record, bindings)
        entry = known.get(name)
        loose = entry["loose"] if entry else []
        differences = compare(record, answer, bindings, loose)
        if entry and not differences and not entry.get("sometimes") and not compare(record, answer, bindings, []):
            differences = ["is listed in DIFFERS.json, but does not differ"]
        yield name, differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"))
    parser.add_argument("--skip", default="", help="records that need these parts of a cluster are left out")
    parser.add_argument("-v", action="store_true", help="name what passes too")
    parser.add_argument("topics", nargs="*", default=topics())
    options = parser.parse_args()
    server, failed, passed = Server(options.kubeconfig), 0, 0
    for topic in options.topics:
        for name, differences in replay(server, topic, frozenset(options.skip.split(","))):
            failed += bool(differences)
            passed += not differences
            if differences or options.v:
                print(f"{'FAIL' if differences else 'PASS'} {topic}: {name}")
            for difference in differences[:6]:
                print("       " + difference)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
