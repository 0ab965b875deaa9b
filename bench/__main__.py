"""``python -m bench [scenario ...]``: measure pyos on a stack of its own and print a table.

Options: ``--write`` keeps the table in bench/RESULTS.md, ``--json FILE`` the figures. Every figure is to be read
beside the limits measured in the same run: machines differ, ratios travel.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench.groups import GROUPS, Options, names
from bench.limits import bare_rows, best_of_bare, costs
from bench.measuring import Row, Stolen
from bench.report import document, machine, render

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("scenario", nargs="*", help=f"some of: {', '.join(names())}")
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--minutes", type=float, default=10.0, help="of 1,000 users at one replica (default 10)")
    parser.add_argument("--minutes-two", type=float, default=3.0, help="of 1,000 users at two replicas (default 3)")
    parser.add_argument("--users", type=int, default=1000, help="how many users (default 1000)")
    options = parser.parse_args()
    unknown = set(options.scenario) - set(names())
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if options.write and options.scenario:
        parser.error("a part of the scenarios is no table to keep")
    began = time.monotonic()
    facts = machine()
    with Stolen() as stolen:
        rows = run(options.scenario or names(), Options(options.minutes, options.minutes_two, options.users))
    facts["taken by other tenants, % of the processors' time"] = round(stolen.share * 100, 1)
    facts["took minutes"] = round((time.monotonic() - began) / 60, 1)
    text = render(rows, facts, whole=not options.scenario)
    print(text)
    if options.write:
        RESULTS.write_text(text, encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(document(rows, facts), indent=1), encoding="utf-8")
    return 1 if any(row.failed for row in rows if not row.facts.get("failures_expected")) else 0


def run(wanted: list[str], options: Options) -> list[Row]:
    """Limits, then each group that has a wanted scenario."""
    rows = bare_rows()
    say("measured the bare handler")
    for group in GROUPS:
        chosen = [name for name in group.scenarios if name in wanted]
        if chosen:
            rows += group.run(chosen, options, say)
            if group is GROUPS[0]:  # once more: whatever else this machine did, the better one counts
                rows += bare_rows()
    prices = costs(rows)
    bare = best_of_bare(rows)
    for row in rows:
        if row.facts.get("signatures") is not None:
            row.limit_ms = prices.of(row, row.facts["signatures"])
        if row.of_bare is None and row.per_second and row.clients in bare and row.facts.get("signatures") is not None:
            row.of_bare = row.per_second / bare[row.clients]
    return rows


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
