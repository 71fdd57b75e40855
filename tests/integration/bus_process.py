"""A consumer in a process of its own, to be killed: prints "KEY PAYLOAD" for each record, hangs at payload "hang".

python -m tests.integration.bus_process BOOTSTRAP_SERVERS TLS_FOLDER TOPIC GROUP INSTANCE_ID
"""

from __future__ import annotations

import asyncio
import sys

from mesh.bus.access import KafkaAccess, TlsFiles
from mesh.bus.consumer import ConsumerSettings, KeyedConsumer
from mesh.bus.message import Incoming
from mesh.bus.publisher import Publisher


async def main(bootstrap_servers: str, tls_folder: str, topic: str, group: str, instance_id: str) -> None:
    """Consumes until it is killed."""
    access = KafkaAccess(bootstrap_servers, TlsFiles.in_folder(tls_folder))
    publisher = Publisher(access, source="process")
    await publisher.start()

    async def handler(record: Incoming) -> None:
        print(record.key, record.payload.decode(), flush=True)  # noqa: T201 - the test reads it
        if record.payload == b"hang":
            await asyncio.Event().wait()

    consumer = KeyedConsumer(
        access,
        topic,
        group,
        handler,
        publish_dead_letter=publisher.write,
        instance_id=instance_id,
        settings=ConsumerSettings(session_timeout_seconds=30),
    )
    await consumer.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
