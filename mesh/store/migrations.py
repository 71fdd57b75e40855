"""Brings a service's database to its newest schema at start (Alembic), one process at a time.

A service's migrations/versions/ holds the steps. Replicas that start together wait for each other: on SQLite by the
write lock, on PostgreSQL by an advisory lock. All steps are one transaction: they all happen or none does. A database
that has the newest step already, as at every start but the first, is asked for that and no more: importing Alembic
takes longer than all else that a start does with a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh.errors import StoreUnusableError
from mesh.store.engine import open_engine, unavailable_as_error

if TYPE_CHECKING:
    from pathlib import Path

# Key of the advisory lock: any number that nothing else in the same database uses.
_LOCK_KEY = 7_201_963
_VERSION_TABLE = "alembic_version"
"""Alembic's own, of one row."""


def migrate(url: str, folder: Path, *, name: str) -> None:
    """Runs what is missing of the migrations in `folder` (…/migrations). Blocks: call it in a thread or before a loop.

    Raises StoreUnavailableError, StoreUnusableError.
    """
    engine = open_engine(url, writer=True)
    # By its file, where it has one: whoever is to move it away must find it.
    store = engine.url.database or name if engine.dialect.name == "sqlite" else name
    try:
        with unavailable_as_error(store), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            revision = _revision(connection)
            _demand_ours(connection, revision, folder, store)
            if revision != newest(folder):
                _upgrade(connection, folder)
    finally:
        engine.dispose()


def _demand_ours(connection: sa.Connection, revision: str | None, folder: Path, store: str) -> None:
    """Raises StoreUnusableError if the database has steps that are not in the folder, or tables of somebody else."""
    if revision is not None and revision not in _revisions(folder):
        raise StoreUnusableError(
            f"the store {store} was written by a newer version of Rostrum (its schema is {revision}, this version's is"
            f" {newest(folder)}): start that version, or choose another home",
            store=store,
        )
    # On a server others may have tables beside ours.
    if (
        revision is None
        and connection.dialect.name == "sqlite"
        and (tables := sa.inspect(connection).get_table_names())
    ):
        raise StoreUnusableError(
            f"the store {store} is another program's (it has the table {tables[0]}): move it away, or choose another"
            " home",
            store=store,
        )


def newest(folder: Path) -> str:
    """Returns the revision of the last step, which its file's name begins with, as in `0002_what_it_does.py`."""
    return max(_revisions(folder))


def _revisions(folder: Path) -> set[str]:
    return {file.name.partition("_")[0] for file in (folder / "versions").glob("[0-9]*_*.py")}


def _revision(connection: sa.Connection) -> str | None:
    """Returns the revision that the database has; None if it is new."""
    if not sa.inspect(connection).has_table(_VERSION_TABLE):
        return None
    return connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(_VERSION_TABLE)))


def _upgrade(connection: sa.Connection, folder: Path) -> None:
    # Imported here: only a start needs Alembic, and the other parts of this package are imported by every process.
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(revision: Any, _context: object) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
