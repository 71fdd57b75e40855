"""Waits until a broker answers us, before kafka-python is asked to connect.

kafka-python waits up to a second between its attempts, imports what it needs for each, leaves a thread behind for each
client that found no broker, and says of a TLS handshake that failed only that there is none. A question of our own
costs nothing, so services that start before their broker are ready as soon as it is, and know why they are not let in.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from mesh.retries import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.bus.access import KafkaAccess, TlsFiles

BACKOFF = Backoff(0.05, 0.5)
"""Between tries while nothing listens: a start has its broker within a few of the first."""
REFUSED_BACKOFF = Backoff(0.5, 5.0)
"""Between tries at a broker that refuses us: a handshake is work for both."""
QUICK_TRIES = 100
"""Without longer waits: a broker on this machine starts in so many of them."""
ANSWER_SECONDS = 1.0

API_VERSIONS = bytes.fromhex("00000014 0012 0000 00000001 000a") + b"look-ahead"
"""The request that every listener of Kafka answers: size, key 18, version 0, number 1, client (KIP-35)."""


def wait_reachable(access: KafkaAccess, wait: Callable[[float, str], object]) -> bool:
    """Returns True once one of the brokers answers; False as soon as `wait(seconds, why)` is true: a stop.

    `why`: what is wrong with TLS, "" while nothing answers at all.
    """
    tries = 0
    while True:
        troubles = [_trouble(access, server.strip()) for server in access.bootstrap_servers.split(",")]
        if None in troubles:
            return True
        why = next((trouble for trouble in troubles if trouble), "")
        tries += 1
        if wait((REFUSED_BACKOFF if why else BACKOFF).wait_seconds(max(1, tries - QUICK_TRIES)), why):
            return False


def _trouble(access: KafkaAccess, server: str) -> str | None:
    """Why this broker cannot be used now, "" if nothing answers; None if it can."""
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    try:
        connection = socket.create_connection((host, int(port)), ANSWER_SECONDS)
    except (OSError, ValueError):
        return ""
    with connection:
        return None if access.tls is None else _tls_trouble(access.tls, connection, host)


def _tls_trouble(files: TlsFiles, connection: socket.socket, host: str) -> str | None:
    try:
        with files.context().wrap_socket(connection, server_hostname=host) as secured:
            secured.sendall(API_VERSIONS)
            answered = secured.recv(1)  # who refuses our certificate says so here, after the handshake (TLS 1.3)
    except TimeoutError:
        return ""
    except ssl.SSLCertVerificationError as error:
        return f"the broker's certificate is not good ({error.verify_message}; checked with {files.root})"
    except OSError as error:
        return f"TLS with our certificate {files.chain} fails ({getattr(error, 'reason', None) or error})"
    return None if answered else ""
