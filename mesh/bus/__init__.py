"""Kafka behind one interface: topic names, producer, keyed consumer, outbox relay, dead letters.

Delivery is at least once, in order within a key. Only this package imports kafka-python.
"""
