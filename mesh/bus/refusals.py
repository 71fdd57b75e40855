"""Why the broker refuses us, in words that say what to change: a right of the KafkaUser, or a certificate.

Kafka's own errors name a code, and kafka-python says of a TLS handshake that failed only that no broker was found.
Publisher and consumer ask here before they log or tell; nothing is decided by these texts.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from mesh.bus.kafka_python import errors as kafka_errors

if TYPE_CHECKING:
    from mesh.bus.access import KafkaAccess, TlsFiles

ANSWER_SECONDS = 1.0
"""For a broker to refuse a certificate; one that says nothing in this time accepts it."""


def missing_right(error: BaseException, who: str, operation: str, topic: str, group: str = "") -> str | None:
    """Which right `who` lacks on topic or group; None if the error is another. `operation` as in a KafkaUser's acls.

    Kafka hides a topic from who has no right on it, so it may also not be there.
    """
    if isinstance(error, kafka_errors.TopicAuthorizationFailedError):
        return f"{who} has no right to topic {topic}: its KafkaUser needs {operation} (or there is no such topic)"
    if isinstance(error, kafka_errors.GroupAuthorizationFailedError):
        return f"{who} has no right to consumer group {group}: its KafkaUser needs Read of that group"
    return None


def refused_certificate(access: KafkaAccess) -> str | None:
    """Why TLS with the first broker fails now; None if it does not, or if nothing answers. Blocks for some seconds."""
    if access.tls is None:
        return None
    host, _, port = access.bootstrap_servers.split(",")[0].strip().rpartition(":")
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS)
    except (OSError, ValueError):
        return None
    with connection:
        return _failure(access.tls, connection, host.strip("[]"))


def _failure(files: TlsFiles, connection: socket.socket, host: str) -> str | None:
    try:
        with files.context().wrap_socket(connection, server_hostname=host) as secured:
            secured.recv(1)  # TLS 1.3: who refuses our certificate says so after the handshake
    except TimeoutError:
        return None
    except ssl.SSLCertVerificationError as error:
        return f"the broker's certificate is not good ({error.verify_message}; checked with {files.root})"
    except OSError as error:
        return f"TLS with our certificate {files.chain} fails ({getattr(error, 'reason', None) or error})"
    return f"the broker ends a connection with our certificate {files.chain}"
