"""Classes of documents are worked out before requests are served: msgspec crashes when two threads do so at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from oc.model.structs import prepare_structs

ROOT = Path(__file__).resolve().parent.parent.parent

#: In a process of its own, where nothing has been decoded: which classes are worked out only when they are used?
LATE = """
import sys
import controllers, msgspec, od
from oc.model.structs import _derived
from oc.web.application import make_api
from controllers.root import Root
from tests.web.harness import make_services

make_api(make_services(), Root(), controllers)
late = []

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        late.append(frame.f_locals["obj"].__qualname__)

classes = [cls for cls in _derived(msgspec.Struct) if cls.__module__.startswith(("oc.", "controllers."))]
sys.setprofile(watch)
for cls in classes:
    msgspec.json.Decoder(cls)
sys.setprofile(None)
print(len(classes), *late)
"""

#: Eight threads decode classes that nobody has decoded, again and again, with as many switches as Python permits.
AT_ONCE = """
import sys, threading
import msgspec
from oc.model.structs import prepare_structs

def struct(name, annotations):
    space = {"__annotations__": annotations, "__module__": "__main__", **dict.fromkeys(annotations)}
    globals()[name] = type(msgspec.Struct)(name, (msgspec.Struct,), space)
    return globals()[name]

sys.setswitchinterval(1e-6)
document = msgspec.json.encode({f"f{part}": {"g1": 1} for part in range(10)})
for n in range(200):
    for part in range(10):
        struct(f"Part{n}_{part}", {f"g{field}": "int | None" for field in range(5)})
    whole = struct(f"Whole{n}", {f"f{part}": f"Part{n}_{part} | None" for part in range(10)})
    prepare_structs("__main__")
    together = threading.Barrier(8)

    def decode():
        together.wait()
        msgspec.json.decode(document, type=whole)

    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )


def test_an_application_that_is_made_has_no_class_left_to_work_out() -> None:
    done = run(LATE)
    assert done.returncode == 0, done.stderr
    count, *late = done.stdout.split()
    assert int(count) > 50
    assert late == []


def test_threads_may_decode_a_class_for_the_first_time_at_once() -> None:
    done = run(AT_ONCE)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stderr}"


class Base(msgspec.Struct):
    name: str = ""


class Middle(Base):
    size: int = 0


class Last(Middle):
    inner: list[Base] = []


def test_classes_of_the_named_packages_are_prepared_also_those_derived_from_others() -> None:
    here = __name__.partition(".")[0]
    assert prepare_structs("no.such.package") == 0
    assert prepare_structs(here) >= 3
    assert msgspec.json.decode(b'{"inner": [{"name": "x"}]}', type=Last).inner == [Base("x")]
