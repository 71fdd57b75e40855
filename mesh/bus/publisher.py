"""Writes records with kafka-python's idempotent producer, from any thread, without ever making the caller wait.

A record whose topic is known goes straight to the producer's buffer; the first of a topic, and all while there is no
broker, go through a thread of our own, since kafka-python would block for the topic's metadata. Order: records of one
topic and key are written in the order of the `publish` calls, unless one fails for good. Durability: acknowledged
means acks=all. Who must not lose a record has it in an outbox (relay.py); this module keeps nothing over a crash.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mesh.bus.envelope import WireRecord, to_wire
from mesh.bus.errors import RefusedError
from mesh.bus.kafka_python import KafkaProducer
from mesh.bus.kafka_python import errors as kafka_errors
from mesh.bus.loop_bridge import LoopBridge
from mesh.bus.reachable import wait_reachable
from mesh.bus.refusals import missing_right
from mesh.bus.topics import DEAD_LETTERS_MAX_MESSAGE_BYTES, MAX_RECORD_BYTES
from mesh.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.bus.access import KafkaAccess
    from mesh.bus.message import Outgoing

log = logging.getLogger(__name__)
T = TypeVar("T")
_Answer = tuple["asyncio.Future[None]", BaseException | None]

METADATA_WAIT_SECONDS = 2.0
"""How long a topic that is not known may take; then its records fail as BrokerUnavailableError."""
DELIVERY_TIMEOUT_SECONDS = 30.0
"""After this a record that the broker did not take fails; the relay then publishes it again from the outbox."""
_USABLE_FOR_SECONDS = 1.0
"""How long an answer of `usable` holds that says yes."""
_FAULT_SECONDS = 1.0
"""Between a fault of ours in the publisher's thread and the next try."""
_GIVEN_UP_CLOSE_SECONDS = 0.5
"""How long a producer that is given up may take to fail what it holds before it is forced to; it usually has."""

_REFUSALS = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTopicError,
    ValueError,
    TypeError,
)


class RecordPublisher(Protocol):
    """What relay and consumer need of a publisher; the in-memory bus has it too."""

    def publish(self, records: Sequence[tuple[T, WireRecord]], done: Callable[[T, BaseException | None], None]) -> None:
        """Writes the records in this order and calls `done(tag, error)` once for each, in any thread. Never blocks."""
        ...

    def wire(self, message: Outgoing) -> WireRecord:
        """Returns the record of this message, with this service as its source."""
        ...


class Publisher:
    """A service's one producer."""

    def __init__(self, access: KafkaAccess, *, source: str) -> None:
        """`source`: the service's name, for ce_source."""
        self.source = source
        self._access = access
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._producer: Any = None
        self._known: set[str] = set()
        self._slow: deque[tuple[WireRecord, Callable[[BaseException | None], None]]] = deque()
        self._slow_topics: Counter[str] = Counter()
        self._give_up_at = time.monotonic() + METADATA_WAIT_SECONDS
        self._closing = False
        self._why_no_broker = ""
        self._thread: threading.Thread | None = None
        self._usable = (0.0, False)
        self._answers: LoopBridge[_Answer] | None = None

    async def start(self) -> None:
        """Starts connecting and returns at once: without a broker, records wait up to METADATA_WAIT_SECONDS."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bus-publisher", daemon=True)
            self._thread.start()

    async def stop(self, timeout_seconds: float = 5.0) -> None:
        """Writes what is buffered, at most for this time, and disconnects. Idempotent."""
        with self._lock:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            await asyncio.to_thread(self._close, timeout_seconds)
            self._thread = None

    def wire(self, message: Outgoing) -> WireRecord:
        """Returns the record of this message, with this service as its source."""
        return to_wire(message, self.source)

    def publish(self, records: Sequence[tuple[T, WireRecord]], done: Callable[[T, BaseException | None], None]) -> None:
        """Writes the records in this order and calls `done(tag, error)` once for each, in any thread. Never blocks.

        Errors: RefusedError (too large: never try again) and BrokerUnavailableError.
        """
        with self._lock:
            for tag, record in records:
                notify = functools.partial(done, tag)
                if self._closing:
                    notify(BrokerUnavailableError("the publisher is stopped"))
                elif record.topic in self._known and not self._slow_topics[record.topic]:
                    self._send(record, notify)
                else:
                    self._slow_topics[record.topic] += 1
                    self._slow.append((record, notify))
                    self._changed.notify()

    async def send(self, message: Outgoing) -> None:
        """Writes one record that is in no outbox; returns once it is acknowledged.

        Raises RefusedError, BrokerUnavailableError.
        """
        if len(message.payload) > MAX_RECORD_BYTES:
            raise RefusedError(f"{len(message.payload)} bytes are more than {MAX_RECORD_BYTES}")
        await self.write(self.wire(message))

    async def write(self, record: WireRecord) -> None:
        """As `send`, for a record as it is, such as a dead letter."""
        if self._answers is None:
            self._answers = LoopBridge(asyncio.get_running_loop(), _resolve)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.publish([(answer, record)], self._answer)
        await answer

    async def topic_exists(self, topic: str) -> bool:
        """True if the broker has this topic; False takes METADATA_WAIT_SECONDS. BrokerUnavailableError: no answer."""
        with self._lock:
            if topic in self._known:
                return True
        if not await self.usable():
            raise self._no_broker()
        return await asyncio.to_thread(self._learn, topic) is None

    async def trouble(self) -> str:
        """Why nothing can be written now; empty if the broker answers. For health checks and people."""
        return "" if await self.usable() else self._no_broker().message

    async def usable(self) -> bool:
        """True if the broker answered a question within the last second."""
        asked_at, answer = self._usable
        if answer and time.monotonic() - asked_at < _USABLE_FOR_SECONDS:
            return True
        answer = await asyncio.to_thread(self._ask_broker)
        self._usable = (time.monotonic(), answer)
        return answer

    def _answer(self, answer: asyncio.Future[None], error: BaseException | None) -> None:
        if self._answers is not None:
            self._answers.put((answer, error))

    # ---- with the lock held ----

    def _send(self, record: WireRecord, notify: Callable[[BaseException | None], None]) -> None:
        try:
            future = self._producer.send(record.topic, key=record.key, value=record.value, headers=list(record.headers))
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the one who published
            if not isinstance(error, _REFUSALS):
                self._known.discard(record.topic)
            notify(self._as_ours(error, record.topic))
            return
        future.add_callback(_notify_acknowledged, notify)
        future.add_errback(self._failed, record.topic, notify)

    def _failed(self, topic: str, notify: Callable[[BaseException | None], None], error: BaseException) -> None:
        notify(self._as_ours(error, topic))

    def _as_ours(self, error: BaseException, topic: str) -> Exception:
        if isinstance(error, _REFUSALS):
            return RefusedError(str(error))
        why = missing_right(error, self.source, "Write", topic) or repr(error)
        return BrokerUnavailableError(f"not acknowledged: {why}")

    # ---- in our thread ----

    def _run(self) -> None:
        while not self._closing:
            try:
                self._connect_until_closing()
                self._send_until_closing()
            except Exception:  # a thread that ended would leave every record to wait, and say nothing
                log.exception("the publisher fails and goes on")
                with self._lock:
                    self._changed.wait_for(lambda: self._closing, timeout=_FAULT_SECONDS)
        self._fail_slow(BrokerUnavailableError("the publisher is stopped"))

    def _send_until_closing(self) -> None:
        while True:
            with self._lock:
                self._changed.wait_for(lambda: self._closing or bool(self._slow) or _given_up(self._producer))
                if self._closing:
                    return
                topic = self._slow[0][0].topic if self._slow else ""
            if _given_up(self._producer):
                self._renew()
                continue
            why_not = self._learn(topic)
            with self._lock:
                self._send_slow(topic, why_not)

    def _connect_until_closing(self) -> None:
        while not self._closing and self._producer is None:
            try:
                if not wait_reachable(self._access, self._wait_or_fail):
                    break
                self._producer = self._connect()
            except Exception as error:  # noqa: BLE001 - no broker yet, in one of many ways
                log.warning("no broker at %s yet: %r", self._access.bootstrap_servers, error)
                self._fail_slow(self._no_broker())
                with self._lock:
                    self._changed.wait_for(lambda: self._closing, timeout=0.5)

    def _no_broker(self) -> BrokerUnavailableError:
        why = f": {self._why_no_broker}" if self._why_no_broker else ""
        return BrokerUnavailableError(f"no broker answers at {self._access.bootstrap_servers}{why}")

    def _renew(self) -> None:
        """Replaces a producer that kafka-python has given up for good, such as after a broker that did not answer."""
        log.warning("the producer is given up and made again")
        with self._lock:
            old, self._producer = self._producer, None
            self._known.clear()  # what is published meanwhile waits for the new one
        _end(old, _GIVEN_UP_CLOSE_SECONDS)
        self._connect_until_closing()

    def _wait_or_fail(self, seconds: float, why: str) -> bool:
        """Fails what waits for a broker, every METADATA_WAIT_SECONDS; True when the publisher is stopped."""
        if why and why != self._why_no_broker:
            log.error("no broker at %s: %s", self._access.bootstrap_servers, why)
        self._why_no_broker = why
        with self._lock:
            self._changed.wait_for(lambda: self._closing, timeout=seconds)
        if time.monotonic() >= self._give_up_at:
            self._give_up_at = time.monotonic() + METADATA_WAIT_SECONDS
            self._fail_slow(self._no_broker())
        return self._closing

    def _send_slow(self, topic: str, why_not: str | None) -> None:
        waiting = [item for item in self._slow if item[0].topic == topic]
        self._slow = deque(item for item in self._slow if item[0].topic != topic)
        del self._slow_topics[topic]
        for record, notify in waiting:
            if why_not is None:
                self._send(record, notify)
            else:
                notify(BrokerUnavailableError(why_not))

    def _fail_slow(self, error: BrokerUnavailableError) -> None:
        with self._lock:
            waiting, self._slow = self._slow, deque()
            self._slow_topics.clear()
        for _record, notify in waiting:
            notify(error)

    def _connect(self) -> Any:
        return KafkaProducer(
            **self._access.client_settings(),
            client_id=self.source,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            batch_size=256 * 1024,
            max_request_size=DEAD_LETTERS_MAX_MESSAGE_BYTES + 64 * 1024,
            max_block_ms=int(METADATA_WAIT_SECONDS * 1000),
            delivery_timeout_ms=int(DELIVERY_TIMEOUT_SECONDS * 1000),
            request_timeout_ms=10_000,
            reconnect_backoff_max_ms=1_000,
            bootstrap_timeout_ms=3_000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _learn(self, topic: str) -> str | None:
        """Why nothing can be written to this topic now; None once it is known."""
        why_not = f"the broker does not have the topic {topic}, or does not answer"
        try:
            present = bool(self._producer.partitions_for(topic))
        except Exception as error:  # noqa: BLE001 - absent, forbidden or no answer: all mean "not now"
            right = missing_right(error, self.source, "Write", topic)
            log.warning("topic %s: %s", topic, right or repr(error))
            return right or why_not
        if not present:
            return why_not
        with self._lock:
            self._known.add(topic)
        return None

    # ---- in a thread of the loop's executor ----

    def _ask_broker(self) -> bool:
        producer = self._producer
        if producer is None or self._closing:
            return False
        if _given_up(producer):
            with self._lock:
                self._changed.notify_all()
            return False
        answered = threading.Event()
        # kafka-python has no public question to the broker that a producer may ask; this is what `send` does.
        future = producer._metadata.request_update()
        future.add_callback(lambda *_: answered.set())
        producer._sender.wakeup()
        return answered.wait(METADATA_WAIT_SECONDS)

    def _close(self, timeout_seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout_seconds)
        if self._producer is not None:
            _end(self._producer, timeout_seconds)


def _given_up(producer: Any) -> bool:
    """Says whether kafka-python will never send with this producer again."""
    given_up: bool = producer._transaction_manager.has_fatal_error()
    return given_up


def _end(producer: Any, timeout_seconds: float) -> None:
    """Closes a producer. What is not acknowledged by then fails, and whoever published it is notified."""
    try:
        producer.close(timeout=timeout_seconds)
    except kafka_errors.KafkaTimeoutError:
        # Its close then has stopped before the thread that sends, which would go on indefinitely.
        producer._sender.force_close()


def _notify_acknowledged(notify: Callable[[BaseException | None], None], _metadata: object) -> None:
    notify(None)


def _resolve(answers: Sequence[_Answer]) -> None:
    for answer, error in answers:
        if answer.done():
            continue
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)
