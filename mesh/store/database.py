"""A service's database: jobs of many debates share one commit, and what they enqueued goes to the relay right after.

Guarantees: `write` returns after its job's commit; a job's effects and its outbox rows are one transaction; a job that
raises changes nothing and disturbs no other job. A job may run more than once before it is committed (a deadlock, a
lock, another job that raised), so it changes nothing outside of its transaction. Group commit: whatever waits while a
commit is under way goes into the next one. Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from mesh.bus.message import OutboxRow
from mesh.errors import StoreUnavailableError
from mesh.store.engine import is_unavailable, open_engine, store_unavailable, unavailable_as_error
from mesh.store.outbox import outbox_row, outbox_table, outbox_values
from mesh.store.readers import Readers
from mesh.store.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mesh.bus.message import Outgoing

T = TypeVar("T")

# Jobs in one commit at most: bounds how long the first of them waits for the last.
MAX_JOBS_A_COMMIT = 256
# Threads that read. Reads are short; more would only fight for the interpreter.
READERS = 2
# Seconds without a write after which acknowledged outbox rows are deleted on their own.
IDLE_DELETE_SECONDS = 0.5
# Acknowledged outbox rows that are deleted with the next commit; what a crash publishes a second time at most.
DELETE_AT_LEAST = 16
# Seconds that a failed commit is `trouble` if no write succeeded since.
FAILURE_MEMORY_SECONDS = 2.0
# Times a job is run when the database refuses it as a victim of a deadlock or a lock.
TRIES = 3


class Committed(Generic[T]):
    """What a job returned, after its commit."""

    __slots__ = ("published", "value")

    def __init__(self, value: T, published: Awaitable[None]) -> None:
        self.value = value
        self.published: Awaitable[None] = published
        """Resolves when the broker has acknowledged all records that the job enqueued; at once if it enqueued none.
        Awaited or not, as often as you like."""


class Transaction:
    """What a job works with. Not usable after the job returned."""

    __slots__ = ("connection", "now_us", "outgoing")

    def __init__(self, connection: sa.Connection, now_us: int) -> None:
        self.connection = connection
        self.now_us = now_us
        """Wall clock at the start of the commit, in microseconds since the epoch."""
        self.outgoing: list[Outgoing] = []

    def enqueue(self, message: Outgoing) -> None:
        """Puts a record into the outbox; it is published after the commit, in the order of the calls."""
        self.outgoing.append(message)


class _Job:
    __slots__ = ("error", "outgoing", "published", "remaining", "result", "run", "value")

    def __init__(
        self, run: Callable[[Transaction], Any], result: asyncio.Future[Any], published: asyncio.Future[None]
    ) -> None:
        self.run = run
        self.result = result
        self.published = published
        self.value: Any = None
        self.error: BaseException | None = None
        self.outgoing: list[Outgoing] = []
        self.remaining = 0


class _Wake:
    """Wakes the writer without a job."""

    __slots__ = ()


class Database:
    """One service's database. Made and closed on the event loop that uses it."""

    def __init__(
        self,
        url: str,
        metadata: sa.MetaData,
        *,
        name: str,
        on_commit: Callable[[Sequence[OutboxRow]], None] = lambda _rows: None,
    ) -> None:
        """`metadata` holds the service's tables; the outbox is added to it. `name` is for messages.

        `on_commit` is called in the writer thread with the outbox rows of each commit that has some. Opens nothing:
        see `start`.
        """
        self.name = name
        self._on_commit = on_commit
        outbox = outbox_table(metadata)
        self._writer_engine = open_engine(url, writer=True)
        self._reader_engine = open_engine(url, writer=False)
        self.dialect = self._writer_engine.dialect
        """For statements."""
        given = [column.name for column in outbox.columns if column.name != "id"]
        self._insert_outbox = Statement(outbox.insert().returning(outbox.c.id), self.dialect, columns=given)
        self._delete_outbox = Statement(outbox.delete().where(outbox.c.id == sa.bindparam("row_id")), self.dialect)
        self._pending = (
            outbox.select()
            .where(outbox.c.create_time_us <= sa.bindparam("before_us"))
            .order_by(outbox.c.id)
            .limit(sa.bindparam("row_limit"))
        )
        # What the writer waits for: jobs; a wake-up for acknowledged rows; None, the end.
        self._jobs: queue.SimpleQueue[_Job | _Wake | None] = queue.SimpleQueue()
        self._wake_due = False
        self._delete = False
        """Whether the commit under way deletes acknowledged rows."""
        self._waiters: dict[int, _Job] = {}
        self._acknowledged: deque[int] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._readers = Readers(READERS, name)
        self._reading = False
        self._failure = ""
        self._failure_time: float | None = None
        self.commits = 0
        """Commits so far."""
        self.jobs_committed = 0
        """Jobs in them."""

    async def start(self) -> None:
        """Starts the writer. The schema must be there (mesh.store.migrations). Raises StoreUnavailableError."""
        self._loop = asyncio.get_running_loop()
        self._readers.start()
        self._reading = True
        await self.read(lambda connection: connection.execute(sa.select(1)).scalar())
        self._thread = threading.Thread(target=self._write_forever, name=f"{self.name}-writer", daemon=True)
        self._thread.start()

    async def aclose(self) -> None:
        """Commits what waits, then closes. Idempotent. What is unpublished stays in the outbox."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)
        self._reading = False
        await asyncio.to_thread(self._readers.stop)
        self._reader_engine.dispose()
        self._writer_engine.dispose()
        for job in self._waiters.values():
            job.published.cancel()
        self._waiters.clear()

    async def write(self, job: Callable[[Transaction], T]) -> Committed[T]:
        """Runs the job in a transaction and returns after its commit.

        Raises what the job raises (then nothing of it is stored) and StoreUnavailableError. Cancelled while it waits:
        it may or may not be committed.
        """
        loop = self._loop
        if loop is None or self._thread is None:
            message = f"the store {self.name} is not open"
            raise StoreUnavailableError(message, store=self.name)
        entry = _Job(job, loop.create_future(), loop.create_future())
        self._jobs.put(entry)
        committed: Committed[T] = await entry.result
        return committed

    async def read(self, job: Callable[[sa.Connection], T]) -> T:
        """Runs the job on a reader thread, in one snapshot on SQLite. Raises what it raises, StoreUnavailableError."""
        if not self._reading:
            message = f"the store {self.name} is not open"
            raise StoreUnavailableError(message, store=self.name)
        return await self._readers.run(functools.partial(self._read, job))

    async def trouble(self) -> str:
        """Why it cannot be used: reading fails now, or the last commit did just before. Empty if it can.

        For health checks and people.
        """
        if self._thread is None or not self._thread.is_alive():
            return f"the store {self.name} is not open"
        failure_time = self._failure_time
        if failure_time is not None and time.monotonic() - failure_time < FAILURE_MEMORY_SECONDS:
            return self._failure
        try:
            await self.read(lambda connection: connection.execute(sa.select(1)).scalar())
        except StoreUnavailableError as error:
            return error.message
        return ""

    async def hang(self) -> str:
        """Says so if the writer's thread has ended, which only a restart of the process mends. For health checks."""
        return "" if self._thread is None or self._thread.is_alive() else "its thread has ended"

    async def pending(self, limit: int, older_than_seconds: float) -> Sequence[OutboxRow]:
        """Returns at most `limit` unpublished rows that were committed that long ago, ascending by id."""
        before_us = time.time_ns() // 1000 - int(older_than_seconds * 1e6)

        def select(connection: sa.Connection) -> list[OutboxRow]:
            rows = connection.execute(self._pending, {"before_us": before_us, "row_limit": limit}).mappings()
            return [outbox_row(row) for row in rows]  # type: ignore[arg-type]

        rows = await self.read(select)
        gone = set(self._acknowledged)
        return [row for row in rows if row.id not in gone]

    def mark_published(self, ids: Sequence[int]) -> None:
        """Notes that the broker has these rows; they are deleted in a later commit. On the event loop; no I/O."""
        if not self._wake_due and self._loop is not None:
            self._wake_due = True
            self._loop.call_later(IDLE_DELETE_SECONDS, self._wake)
        for row_id in ids:
            self._acknowledged.append(row_id)
            job = self._waiters.pop(row_id, None)
            if job is not None:
                job.remaining -= 1
                if job.remaining == 0 and not job.published.done():
                    job.published.set_result(None)

    def _wake(self) -> None:
        """If no job came meanwhile, the acknowledged rows are deleted on their own."""
        self._wake_due = False
        if self._acknowledged:
            self._jobs.put(_Wake())

    # ---- reader threads ----

    def _read(self, job: Callable[[sa.Connection], T]) -> T:
        with unavailable_as_error(self.name), self._reader_engine.connect() as connection:
            return job(connection)

    # ---- the writer thread ----

    def _write_forever(self) -> None:
        open_ = True
        while open_:
            entry = self._jobs.get()
            jobs: list[_Job] = []
            woken = False
            while True:
                if entry is None:
                    open_ = False
                elif isinstance(entry, _Wake):
                    woken = True
                elif not entry.result.cancelled():
                    jobs.append(entry)
                if len(jobs) >= MAX_JOBS_A_COMMIT:
                    break
                try:
                    entry = self._jobs.get_nowait()
                except queue.Empty:
                    break
            self._delete = woken or not open_ or len(self._acknowledged) >= DELETE_AT_LEAST
            if jobs or (self._delete and self._acknowledged):
                self._run(jobs)

    def _run(self, jobs: list[_Job]) -> None:
        """Commits the jobs together; alone, and again, those that the database refused together."""
        error = self._commit(jobs, savepoints=False)
        if error is not None and not is_unavailable(error) and len(jobs) > 1:
            # One job raised, which is rare: again, each in a savepoint of its own, and it alone is undone.
            error = self._commit(jobs, savepoints=True)
        if error is not None and len(jobs) > 1:
            for job in jobs:
                self._run([job])
            return
        tries = 1
        while error is not None and jobs and tries < TRIES and _worth_retrying(error):
            tries += 1
            error = self._commit(jobs, savepoints=False)
        if error is not None and is_unavailable(error):
            unavailable = store_unavailable(self.name, error)
            self._failure, self._failure_time = unavailable.message, time.monotonic()
            unavailable.__cause__ = error
            error = unavailable
        elif jobs:
            self._failure_time = None
        if error is not None:
            for job in jobs:
                job.error = error
        self._deliver(jobs)

    def _commit(self, jobs: list[_Job], *, savepoints: bool) -> BaseException | None:
        """Runs and commits the jobs; returns what made the whole of them fail, or None. Fills value/error of each."""
        acknowledged = [self._acknowledged[index] for index in range(len(self._acknowledged))] if self._delete else []
        now_us = time.time_ns() // 1000
        rows: list[OutboxRow] = []
        try:
            with self._writer_engine.connect() as connection, connection.begin():
                if acknowledged:
                    self._delete_outbox.change_all(connection, [{"row_id": row_id} for row_id in acknowledged])
                for job in jobs:
                    if savepoints:
                        self._run_in_savepoint(connection, job, now_us)
                    else:
                        self._run_one(connection, job, now_us)
                rows = self._store_outgoing(connection, jobs, now_us)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the jobs that wait for it
            return error
        for _ in acknowledged:
            self._acknowledged.popleft()
        self.commits += 1
        self.jobs_committed += len(jobs)
        position = 0
        for job in jobs:
            count = len(job.outgoing)
            job.remaining = count
            for row in rows[position : position + count]:
                self._waiters[row.id] = job
            position += count
        if rows:
            self._on_commit(rows)
        return None

    def _run_one(self, connection: sa.Connection, job: _Job, now_us: int) -> None:
        transaction = Transaction(connection, now_us)
        job.value, job.error, job.outgoing = None, None, []
        job.value = job.run(transaction)
        job.outgoing = transaction.outgoing

    def _run_in_savepoint(self, connection: sa.Connection, job: _Job, now_us: int) -> None:
        """Runs one job; its own error stays its own, a failing database is everybody's and is raised."""
        connection.exec_driver_sql("SAVEPOINT job")
        try:
            self._run_one(connection, job, now_us)
        except Exception as error:
            if is_unavailable(error):
                raise
            job.error = error
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT job")
        connection.exec_driver_sql("RELEASE SAVEPOINT job")

    def _store_outgoing(self, connection: sa.Connection, jobs: list[_Job], now_us: int) -> list[OutboxRow]:
        messages = [message for job in jobs for message in job.outgoing]
        rows = []
        for message in messages:
            (row,) = self._insert_outbox.rows(connection, outbox_values(message, now_us))
            rows.append(OutboxRow(row["id"], message))
        return rows

    def _deliver(self, jobs: list[_Job]) -> None:
        loop = self._loop
        if jobs and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if not job.outgoing and not job.published.done():
            job.published.set_result(None)
        if job.result.done():
            continue
        if job.error is not None:
            job.result.set_exception(job.error)
        else:
            job.result.set_result(Committed(job.value, job.published))


def _worth_retrying(error: BaseException) -> bool:
    """Deadlocks and lost connections end by trying again; a full disk or a held lock does not."""
    text = str(getattr(error, "orig", None) or error).lower()
    return is_unavailable(error) and not any(word in text for word in ("full", "locked", "readonly", "malformed"))


def insert_or_skip(table: sa.Table, dialect: sa.Dialect) -> sa.Insert:
    """Returns an insert that changes no row when a unique key is there already."""
    if dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    # Not at the top: a laptop's processes need not pay for it.
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert(table).on_conflict_do_nothing()
