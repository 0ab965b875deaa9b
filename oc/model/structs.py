"""Types of decoded documents, worked out before threads need them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


def prepare_structs(*packages: str) -> int:
    """Let msgspec work out every imported class of these packages; how many there are.

    msgspec does so when a class is decoded for the first time, and hands the class to other threads before it is done:
    a thread that decodes the same class then reads a field without a type, and the process dies (SIGSEGV, seen with
    msgspec 0.22). So this must run while no other thread decodes. Running it again costs nothing.
    """
    wanted = [cls for cls in set(_derived(msgspec.Struct)) if cls.__module__.partition(".")[0] in packages]
    for cls in wanted:
        msgspec.json.Decoder(cls)
    return len(wanted)


def _derived(base: type[Any]) -> Iterator[type[Any]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _derived(cls)
