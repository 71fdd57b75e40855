"""The place of mesh.bus that imports kafka-python, which is untyped, and which warns of itself while it is imported.

Its protocol classes read their schemas with importlib.resources.read_text, deprecated from Python 3.11 to 3.12 and back
since 3.13; the warning says nothing about us, and where warnings are errors the import would fail.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="(read|open)_text is deprecated", category=DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors  # type: ignore[import-untyped]
    from kafka.consumer.subscription_state import (  # type: ignore[import-untyped]
        AsyncConsumerRebalanceListener,
    )
    from kafka.coordinator.assignors.cooperative_sticky import (  # type: ignore[import-untyped]
        CooperativeStickyAssignor,
    )
    from kafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]

__all__ = [
    "AsyncConsumerRebalanceListener",
    "CooperativeStickyAssignor",
    "KafkaConsumer",
    "KafkaProducer",
    "OffsetAndMetadata",
    "TopicPartition",
    "errors",
]
