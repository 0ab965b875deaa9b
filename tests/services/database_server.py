"""Runs a MongoDB-protocol server for the tests: `python database_server.py PORT REPLICA_SET STORAGE AUTH`.

An empty REPLICA_SET makes it a standalone server; AUTH ``yes`` makes it ask for accounts.
Says ``{"port": ...}`` when it is ready.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading

import secantus.transactions
from secantus import SecantusDBServer

if __name__ == "__main__":
    # Its record of retryable writes slows it down after some thousand writes.
    secantus.transactions._RETRYABLE_RECORD_MAX = 200
    port, replica_set, storage = int(sys.argv[1]), sys.argv[2] or None, sys.argv[3]
    server = SecantusDBServer(
        "127.0.0.1", port, storage, replica_set_name=replica_set, require_auth=sys.argv[4] == "yes"
    )
    server.start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print(json.dumps({"port": server.address[1]}), flush=True)
    stop.wait()
    server._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts: the server would wait 2 s for it
    server.stop()  # writes everything down
