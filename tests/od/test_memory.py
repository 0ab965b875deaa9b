"""Memory of a process: in a process of its own, for it is the process that changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

SETTLED = """
import gc, json
from oc.od.memory import settle

class Node:
    pass

kept, ring = Node(), Node()
ring.itself = ring
del ring
settle()
frozen = gc.get_freeze_count()
walked = len(gc.get_objects())
later = Node()
later.itself = later
del later
print(json.dumps({"frozen": frozen, "walked": walked, "nodes": gc.collect() > 0}))
"""


def result_of(program: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    return json.loads(done.stdout)


def test_what_stands_after_the_boot_is_not_walked_through_again_and_what_comes_later_is() -> None:
    found = result_of(SETTLED)
    assert found["frozen"] > 5000
    assert found["walked"] < found["frozen"] / 10
    assert found["nodes"]
