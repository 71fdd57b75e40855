"""What a service's database promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from mesh.bus.message import OutboxRow, Outgoing
from mesh.errors import StoreUnavailableError
from mesh.store.database import Database
from mesh.store.engine import open_engine
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from mesh.store.database import Transaction

metadata = sa.MetaData()
items = sa.Table(
    "items",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("version", sa.Integer(), nullable=False),
)


@asynccontextmanager
async def opened(
    url: str, *, create: bool = True, on_commit: Callable[[Sequence[OutboxRow]], None] = lambda _rows: None
) -> AsyncIterator[Database]:
    database = Database(url, metadata, name="test", on_commit=on_commit)
    if create:
        engine = open_engine(url, writer=True)
        metadata.create_all(engine)
        engine.dispose()
    await database.start()
    try:
        yield database
    finally:
        await database.aclose()


def insert(number: int, *keys: str) -> Callable[[Transaction], int]:
    def job(transaction: Transaction) -> int:
        transaction.connection.execute(items.insert(), {"id": number, "version": 1})
        for key in keys:
            transaction.enqueue(message(key))
        return number

    return job


def message(key: str) -> Outgoing:
    return Outgoing("topic", key, f"id-{key}", "a.B", b"\x00payload", {"traceparent": "00-x"})


async def count(database: Database, table: str = "items") -> int:
    query = sa.select(sa.func.count()).select_from(sa.table(table))
    return await database.read(lambda connection: int(connection.execute(query).scalar_one()))


async def test_a_job_is_stored_and_its_value_returned(database_url: str) -> None:
    """write returns after the commit, with what the job returned."""
    async with opened(database_url) as database:
        assert (await database.write(insert(1))).value == 1
        assert await count(database) == 1


async def test_a_failing_job_changes_nothing_and_disturbs_no_other(database_url: str) -> None:
    """Of jobs that share a commit, one that raises takes nothing with it, and its outbox rows are not published."""
    rows: list[OutboxRow] = []
    async with opened(database_url, on_commit=rows.extend) as database:

        def bad(transaction: Transaction) -> int:
            insert(99, "bad")(transaction)
            message = "no"
            raise ValueError(message)

        jobs = [insert(number, f"k{number}") for number in range(20)]
        jobs.insert(7, bad)
        jobs.insert(9, insert(3, "twice"))  # a duplicate key: the database's own error
        results = await asyncio.gather(*map(database.write, jobs), return_exceptions=True)
        assert isinstance(results[7], ValueError)
        assert sum(isinstance(result, sa.exc.IntegrityError) for result in results) == 1
        assert await count(database) == 20
        assert {row.message.key for row in rows} >= {f"k{number}" for number in range(20) if number != 3}
        assert "bad" not in {row.message.key for row in rows}


async def test_jobs_that_wait_together_share_a_commit(database_url: str) -> None:
    """Fifty jobs at once take far fewer than fifty commits."""
    async with opened(database_url) as database:
        await asyncio.gather(*(database.write(insert(number)) for number in range(50)))
        assert database.jobs_committed == 50
        assert database.commits < 25


async def test_outbox_rows_come_after_the_commit_in_order_and_are_published_once_acknowledged(
    database_url: str,
) -> None:
    """on_commit gets the rows ascending, pending shows them until acknowledged, `published` resolves with the last."""
    rows: list[OutboxRow] = []
    async with opened(database_url, on_commit=rows.extend) as database:
        first = await database.write(insert(1, "a", "b"))
        second = await database.write(insert(2))
        await asyncio.wait_for(asyncio.ensure_future(second.published), 5)
        assert [row.message for row in rows] == [message("a"), message("b")]
        assert rows[0].id < rows[1].id
        assert await database.pending(10, 0.0) == rows
        assert await database.pending(1, 0.0) == rows[:1]
        assert await database.pending(10, 3600.0) == []
        database.mark_published([rows[0].id])
        assert not asyncio.ensure_future(first.published).done()
        database.mark_published([rows[1].id, rows[0].id, 12345])
        await asyncio.wait_for(asyncio.ensure_future(first.published), 5)
        assert await database.pending(10, 0.0) == []

        async def is_empty() -> bool:
            return await count(database, "outbox") == 0

        await until("an empty outbox", is_empty)


async def test_unpublished_rows_outlive_the_process(database_url: str) -> None:
    """What was not acknowledged is pending again after a restart; an id is never used again."""
    rows: list[OutboxRow] = []
    async with opened(database_url, on_commit=rows.extend) as database:
        await database.write(insert(1, "a"))
        await database.write(insert(2, "b"))
        database.mark_published([rows[1].id])
    async with opened(database_url, create=False, on_commit=rows.extend) as database:
        assert await database.pending(10, 0.0) == rows[:1]
        await database.write(insert(3, "c"))
        assert rows[2].id > rows[1].id


async def test_two_processes_may_share_it_and_compare_and_set_lets_one_win(database_url: str) -> None:
    """Of two replicas that change the same version at once, exactly one update takes effect, for each of 30 rounds."""

    def step(version: int) -> Callable[[Transaction], int]:
        update = items.update().where(items.c.id == 1, items.c.version == version).values(version=version + 1)
        return lambda transaction: transaction.connection.execute(update).rowcount

    async with opened(database_url) as one, opened(database_url, create=False) as two:
        await one.write(insert(1))
        for version in range(1, 31):
            results = await asyncio.gather(one.write(step(version)), two.write(step(version)))
            assert sum(result.value for result in results) == 1


async def test_reads_do_not_wait_for_a_write(database_url: str) -> None:
    """While a transaction is open, readers see what was committed before it."""
    async with opened(database_url) as database:
        entered, leave = threading.Event(), threading.Event()

        def slow(transaction: Transaction) -> None:
            insert(1)(transaction)
            entered.set()
            assert leave.wait(10)

        writing = asyncio.create_task(database.write(slow))
        await asyncio.to_thread(entered.wait, 10)
        assert await count(database) == 0
        leave.set()
        await writing
        assert await count(database) == 1


async def test_closing_commits_what_waits(database_url: str) -> None:
    """aclose lets the jobs that were handed over finish; later ones are StoreUnavailableError."""
    async with opened(database_url) as database:
        waiting = [asyncio.create_task(database.write(insert(number))) for number in range(5)]
        await asyncio.sleep(0)
        await database.aclose()
        await asyncio.gather(*waiting)
        with pytest.raises(StoreUnavailableError):
            await database.write(insert(6))
        assert await database.trouble()


async def test_a_full_disk_is_unavailable_and_passes_when_there_is_room(tmp_path: Path) -> None:
    """SQLite: a write that finds no room is StoreUnavailableError, `trouble` says so, and later writes succeed."""
    async with opened(f"sqlite:///{tmp_path}/full.db") as database:

        def limit(pages: int) -> Callable[[Transaction], object]:
            return lambda t: t.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()

        def fat(transaction: Transaction) -> None:
            transaction.enqueue(Outgoing("t", "k", "e", "a.B", b"x" * 200_000))

        await database.write(limit(20))
        with pytest.raises(StoreUnavailableError, match="full"):
            await database.write(fat)
        assert await database.trouble()
        await database.write(limit(100_000))
        await database.write(fat)
        assert not await database.trouble()


async def test_a_store_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """A database server that does not answer, or a folder that cannot be made, is StoreUnavailableError."""
    database = Database("postgresql://nobody@127.0.0.1:9/none", metadata, name="test")
    with pytest.raises(StoreUnavailableError):
        await database.start()
    await database.aclose()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError):
        open_engine(f"sqlite:///{tmp_path}/file/store.db", writer=True)


def test_opening_a_new_file_waits_for_who_writes_it(tmp_path: Path) -> None:
    """A replica that opens a file which another one is just making waits for it: SQLite alone refuses at once."""
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE of_the_other (id)")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"), closing(sqlite3.connect(file, timeout=5)) as second:
        second.execute("PRAGMA journal_mode=WAL")
    end = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    end.start()
    engine = open_engine(f"sqlite:///{file}", writer=True)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    end.join()
    engine.dispose()
    other.close()


async def test_many_writers_in_threads_of_reading(database_url: str) -> None:
    """A hundred reads and writes at once all succeed."""
    async with opened(database_url) as database:
        jobs: Sequence[asyncio.Task[object]] = [
            asyncio.create_task(database.write(insert(number, f"k{number}"))) for number in range(100)
        ]
        reads = [asyncio.create_task(count(database)) for _ in range(100)]
        await asyncio.gather(*jobs, *reads)
        assert await count(database) == 100
