"""Which process of a parallel run gets which tests.

Tests that share something costly (a stack, a domain controller, a directory server) go to one process, which starts it
once; the rest goes file by file. Topics that take long, mostly waiting, come first, so that no process is left alone
with one of them at the end.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Directories whose conftest starts something costly for the session.
SHARING = (
    "tests/auth/ad/",
    "tests/auth/external/",
    "tests/auth/ldap/",
    "tests/faults/",
    "tests/operations/",
    "tests/services/",
)
#: What takes longest, in this order.
FIRST = (
    "tests/kube_golden/",
    "tests/faults/",
    "tests/operations/",
    "tests/web/test_process.py",
    "tests/web/test_schemathesis.py",
    "tests/auth/ad/",
    "tests/conformance/",
    "tests/canary/",
    "tests/session/test_make_run.py",
    "tests/od/orchestrator/",
    "tests/web/test_route_matrix.py",
    "tests/web/test_every_route.py",
    "tests/devstack/test_stack.py",
    "tests/services/",
    "tests/auth/ldap/",
    "tests/auth/external/",
)
#: Pure functions beside the tests that share a stack, and the stack's own conftest.
ORCHESTRATOR, MANIFESTS = "tests/od/orchestrator/", "tests/od/orchestrator/manifests/"


def unit_of(nodeid: str) -> str:
    """The name of the unit a test belongs to: a directory or a file."""
    file = nodeid.partition("::")[0]
    if file.startswith(ORCHESTRATOR) and not file.startswith(MANIFESTS):
        return ORCHESTRATOR
    return next((directory for directory in SHARING if file.startswith(directory)), file)


def rank(nodeid: str) -> int:
    """Where a test stands in the order of a parallel run."""
    return next((place for place, prefix in enumerate(FIRST) if nodeid.startswith(prefix)), len(FIRST))


class ByTopic(LoadScopeScheduling):
    """pytest-xdist's distribution by units, with the units above in the order above."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # it would go by the number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
