"""Waits until a broker accepts a connection, before kafka-python is asked to connect.

kafka-python waits up to a second between its attempts, imports what it needs for each, and says so each time; a plain
connect costs nothing, so services that start before their broker are ready as soon as it is.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 0.05
CONNECT_SECONDS = 1.0


def wait_reachable(bootstrap_servers: str, wait: Callable[[float], object]) -> bool:
    """Returns True once one of "host:port,host:port" accepts; False as soon as `wait(seconds)` is true: a stop."""
    while not any(_accepts(server.strip()) for server in bootstrap_servers.split(",")):
        if wait(LOOK_SECONDS):
            return False
    return True


def _accepts(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
