"""The debate as data (`debate`, `turn`, `measure`, `change`) and the state machine that changes it (`rules`).

Nothing here knows gRPC, SQL, Kafka or protobuf, nor the time or the store: `logic` brings those together.
"""
