"""Opens databases the way Rostrum uses them and says in one error what is wrong when one cannot be used.

SQLite: WAL, synchronous=NORMAL (a killed process loses nothing; a power cut may lose the last moments), writers begin
IMMEDIATE so that a compare-and-set never meets a stale snapshot, and wait for each other up to BUSY_SECONDS.
PostgreSQL: psycopg, READ COMMITTED. Only this package and services' `store` modules import SQLAlchemy.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from mesh.errors import StoreUnavailableError, StoreUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds that one writer waits for another process's commit. Commits take milliseconds, so this is a stuck disk or a
# forgotten lock; it must stay below the gRPC deadlines that callers use (10 s).
BUSY_SECONDS = 5.0
# Pages (of 4 KiB) in the WAL after which a commit also copies them to the database, which takes some 10 ms.
CHECKPOINT_PAGES = 4_000
# Between two tries to switch a new file to WAL, for which SQLite itself does not wait.
_SWITCH_SECONDS = 0.01
# What SQLite's result codes mean that somebody must do something about, and what.
_FAULTS = {
    sqlite3.SQLITE_NOTADB: "is no SQLite database: move its file away",
    sqlite3.SQLITE_CORRUPT: "is damaged: put a copy of its file in its place, or move it away",
    sqlite3.SQLITE_READONLY: "may not be written: make its file and folder writable for you",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: let its path name a file that you may read and write",
}


def open_engine(url: str, *, writer: bool) -> sa.Engine:
    """Returns an engine for one connection a thread; `writer` ones begin IMMEDIATE on SQLite.

    `url` is "sqlite:///PATH" or "postgresql://..."; the folder of PATH is made. Raises StoreUnavailableError.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, writer=writer)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return sa.create_engine(
        parsed, pool_pre_ping=False, pool_size=4, max_overflow=0, connect_args={"connect_timeout": int(BUSY_SECONDS)}
    )


def _open_sqlite(url: sa.URL, *, writer: bool) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        message = f"a store needs a file, and {url} names none"
        raise StoreUnavailableError(message, store=str(url))
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder of the store {url.database} cannot be made: {error}"
        raise StoreUnavailableError(message, store=url.database) from error
    engine = sa.create_engine(
        url,
        poolclass=pool.QueuePool,
        pool_size=4,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256},
    )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin and commit ourselves
        cursor = connection.cursor()
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switches the file to WAL; replicas that open a new file together wait for each other.

    SQLite's own busy timeout does not cover the switch, which needs the file for itself: it fails at once.
    """
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
        else:
            return
        time.sleep(_SWITCH_SECONDS)


def is_unavailable(error: BaseException) -> bool:
    """Says whether the database itself failed (gone, locked, full, damaged), not the statement."""
    if isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.DataError | exc.NotSupportedError):
        return False
    return isinstance(error, exc.DBAPIError | exc.TimeoutError)


@contextlib.contextmanager
def unavailable_as_error(store: str) -> Iterator[None]:
    """Turns a failing database into StoreUnavailableError; everything else passes as it is."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        raise store_unavailable(store, error) from error


def store_unavailable(store: str, error: BaseException) -> StoreUnavailableError:
    """Returns the error that says which store failed and how."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _FAULTS:
        unusable = code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}  # the others may be mended meanwhile
        cls = StoreUnusableError if unusable else StoreUnavailableError
        return cls(f"the store {store} {_FAULTS[code]}, then start again", store=store)
    return StoreUnavailableError(f"the store {store} cannot be used now: {str(cause).strip()}", store=store)
