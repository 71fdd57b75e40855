"""Why the broker refuses us, in words that say what to change: a right of the KafkaUser.

Kafka's own errors name a code. Publisher and consumer ask here before they log or notify; nothing is decided by these
texts. What is wrong with a certificate is said by reachable.py.
"""

from __future__ import annotations

from mesh.bus.kafka_python import errors as kafka_errors


def missing_right(error: BaseException, who: str, operation: str, topic: str, group: str = "") -> str | None:
    """Which right `who` lacks on topic or group; None if the error is another. `operation` as in a KafkaUser's acls.

    Kafka hides a topic from who has no right on it, so it may also not be there.
    """
    if isinstance(error, kafka_errors.TopicAuthorizationFailedError):
        return f"{who} has no right to topic {topic}: its KafkaUser needs {operation} (or there is no such topic)"
    if isinstance(error, kafka_errors.GroupAuthorizationFailedError):
        return f"{who} has no right to consumer group {group}: its KafkaUser needs Read of that group"
    return None
