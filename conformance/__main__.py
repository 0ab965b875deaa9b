"""Entry point: see the package's docstring."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path

import requests

from conformance.checks import client_checks, kubeconfig_path, recorded_exchanges
from conformance.cluster import Cluster, ClusterError
from conformance.configuration import overrides
from conformance.report import Report, StepError
from conformance.session import Session
from devstack.children import ChildError
from devstack.service import Backends, Service, ServiceError
from devstack.stack import Stack

PARTS = ("session", "client", "records")
STEP_ERRORS = (StepError, ServiceError, requests.RequestException, ValueError, KeyError, TypeError)


def session(cluster: Cluster, namespace: str, image: str, report: Report) -> None:
    """Run pyos on the cluster, in a new namespace, with a database of its own, and go through one session."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory, cluster.namespace(namespace):
        state = Path(directory)
        kubeconfig = cluster.pyos_kubeconfig(namespace, state / "kubeconfig.pyos")
        with Stack(state / "stack", parts={"database"}) as stack:
            assert stack.keys is not None
            assert stack.mongodb_url is not None
            backends = Backends(kubeconfig, stack.keys, stack.mongodb_url, stack.mongodb_parameters, None)
            environment = {"POD_NAMESPACE": namespace}
            service = Service(state / "pyos", backends, overrides=overrides(namespace, image), environment=environment)
            try:
                with report.step("pyos starts with its own account and the rights of deploy/"):
                    service.start()
                Session(cluster, namespace, service, image, report).run()
            except STEP_ERRORS:
                report.say(f"--- the end of pyos's log\n{service.log_tail()}\n---")
                raise
            finally:
                service.stop()


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when everything holds."""
    parser = argparse.ArgumentParser(prog="conformance", description="does pyos work on this cluster?")
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG", ""))
    parser.add_argument("--image", default="busybox", help="a small image with sh, sleep, chmod, printf and tr")
    parser.add_argument("--namespace", default="", help="to make and remove; a name of its own by default")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, by default {','.join(PARTS)}")
    options = parser.parse_args(arguments)
    wanted = [part for part in options.only.split(",") if part]
    if set(wanted) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    report = Report()
    try:
        cluster = Cluster(kubeconfig_path(options.kubeconfig))
        report.say(f"cluster {cluster.server}, {cluster.version()}")
        if "client" in wanted:
            client_checks(cluster, options.image, report)
        if "records" in wanted:
            recorded_exchanges(cluster, report)
        if "session" in wanted:
            namespace = options.namespace or f"pyos-conformance-{secrets.token_hex(3)}"
            _session(cluster, namespace, options.image, report)
    except (ValueError, OSError, ClusterError, ChildError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    report.say(f"{report.passed} hold, {len(report.failed)} do not")
    return 1 if report.failed else 0


def _session(cluster: Cluster, namespace: str, image: str, report: Report) -> None:
    try:
        session(cluster, namespace, image, report)
    except (ClusterError, ChildError, OSError) as error:
        report.result("a namespace of its own, made and removed", False, f"{type(error).__name__}: {error}"[:600])
    except STEP_ERRORS:
        pass  # the step is in the report


if __name__ == "__main__":
    raise SystemExit(main())
