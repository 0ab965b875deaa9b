"""``python -m bench [scenario ...]``: measure pyos on a stack of its own and print a table.

Options: ``--write`` keeps the table in bench/RESULTS.md, ``--json FILE`` the figures. Every figure is to be read
beside the limits measured in the same run: machines differ, ratios travel.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.limits import bare_handler, signature_ms
from bench.measuring import Client, ClusterLog, Process, Result, measure
from bench.scenarios import CLIENTS, SCENARIOS, Bench
from devstack.cluster.node import desktop_exec_answers
from devstack.service import Backends, Service
from devstack.stack import Stack

RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help=f"one of {', '.join(SCENARIOS)}")
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyos-bench-") as directory:
        results, facts = run(Path(directory), options.scenario or list(SCENARIOS))
    text = render(results, facts)
    print(text)
    if options.write:
        RESULTS.write_text(text, encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, "results": [r.row() for r in results]}, indent=1))
    return 0


def run(directory: Path, names: list[str]) -> tuple[list[Result], dict[str, object]]:
    """Start the stack and the service, run the scenarios."""
    results: list[Result] = []
    facts: dict[str, object] = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": _machine()}
    with Stack(directory / "stack", node_options={"exec_answers": desktop_exec_answers()}) as stack:
        assert stack.kubeconfig_pyos
        assert stack.keys
        assert stack.mongodb_url
        assert stack.server_url
        assert stack.devstack_token
        backends = Backends(
            stack.kubeconfig_pyos, stack.keys, stack.mongodb_url, stack.mongodb_parameters, stack.memcached
        )
        facts["signature_ms"] = round(signature_ms(stack.keys.user_signing.private), 2)
        with bare_handler(10) as (port, pid):
            for count in CLIENTS:
                clients = [Client(port) for _ in range(count)]
                actions = [lambda client=client: client.get("/API/ok") for client in clients]
                results.append(measure("limit: bare CherryPy", Process(pid), actions, 800 // count))
        began = time.perf_counter()
        with Service(directory / "pyos", backends) as service:
            assert service.process
            process = Process(service.process.pid)
            facts["boot_s"] = round(time.perf_counter() - began, 2)
            facts["rss_start_mib"] = process.rss_bytes() >> 20
            bench = Bench(
                service.port,
                service.api_key,
                process,
                ClusterLog(stack.server_url, stack.devstack_token, stack.state / "kubeconfig.ca"),
            )
            for name in names:
                results += SCENARIOS[name](bench)
                print(f"measured {name}", flush=True)
            facts["rss_end_mib"] = process.rss_bytes() >> 20
            facts["threads"] = process.threads()
            facts["descriptors"] = process.descriptors()
    return results, facts


def _machine() -> str:
    import os

    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def render(results: list[Result], facts: dict[str, object]) -> str:
    """The table as Markdown."""
    bare = {r.clients: r.per_second for r in results if r.name.startswith("limit:")}
    lines = [
        "# Measurements",
        "",
        "`make bench` prints this; `python -m bench --write` keeps it here. Compare within one run only.",
        "",
        ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in facts.items()),
        "",
        "| request | clients | requests/s | of bare | p50 ms | p95 ms | p99 ms | CPU ms | Kubernetes calls a request |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        calls = ", ".join(f"{count:g} {call}" for call, count in result.calls.items()) or "0"
        share = result.per_second / bare[result.clients] if bare.get(result.clients) else 0.0
        lines.append(
            f"| {result.name} | {result.clients} | {result.per_second:.0f} | {share:.0%} | {result.quantile(0.5):.1f} "
            f"| {result.quantile(0.95):.1f} | {result.quantile(0.99):.1f} | {result.cpu_ms:.2f} | {calls} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
