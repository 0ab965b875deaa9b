"""Time limits of sockets that the kernel watches (SO_RCVTIMEO and SO_SNDTIMEO, socket(7)).

Python's own ``settimeout`` polls before each call, and each system call gives the interpreter to another thread.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

RECEIVE: Final = socket.SO_RCVTIMEO
SEND: Final = socket.SO_SNDTIMEO


def limit_time(sock: socket.socket, direction: int, seconds: float) -> None:
    """From now on a call of the blocking ``sock`` in that ``direction`` raises BlockingIOError after ``seconds``."""
    whole, rest = divmod(max(1, int(seconds * 1_000_000)), 1_000_000)  # nothing means for ever
    sock.setsockopt(socket.SOL_SOCKET, direction, struct.pack("@ll", whole, rest))
