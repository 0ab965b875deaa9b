"""`python -m devstack.cluster`: run a cluster until SIGTERM; one JSON line on stdout says when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from devstack.cluster.cluster import ClusterConfig, run_cluster
from devstack.cluster.node import start_node

# Stored objects have no cycles and live long: looking for garbage among ten thousand pods costs more than it finds.
GC_THRESHOLDS = (200_000, 20, 100)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.cluster", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=0, help="port to listen at; 0: a free one")
    parser.add_argument("--state", type=Path, help="directory for its files; default: a temporary one")
    parser.add_argument("--tls", action="store_true", help="https, with a CA of its own")
    parser.add_argument("--kubeconfig", type=Path, help="where to write the administrator's kubeconfig")
    parser.add_argument("--node-options", type=Path, help="JSON file with options of the node")
    parser.add_argument("--no-node", action="store_true", help="no scheduler, kubelet or controllers")
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace, state_dir: Path) -> None:
    node_options: dict[str, Any] = {}
    if arguments.node_options:
        node_options = json.loads(arguments.node_options.read_text(encoding="utf-8"))
    config = ClusterConfig(
        state_dir=state_dir,
        host=arguments.host,
        port=arguments.port,
        tls=arguments.tls,
        start_node=None if arguments.no_node else start_node,
        node_options=node_options,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    cluster = await run_cluster(config)
    try:
        kubeconfig = cluster.write_admin_kubeconfig(arguments.kubeconfig or state_dir / "kubeconfig")
        print(json.dumps({**cluster.ready_line(), "kubeconfig": str(kubeconfig)}), flush=True)
        await stop.wait()
    finally:
        await cluster.stop()


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    arguments = _arguments(argv)
    gc.set_threshold(*GC_THRESHOLDS)
    if arguments.state:
        asyncio.run(_run(arguments, arguments.state))
    else:
        with tempfile.TemporaryDirectory(prefix="devstack-cluster-") as folder:
            asyncio.run(_run(arguments, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
