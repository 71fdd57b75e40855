"""Brings a service's database to its newest schema at start (Alembic), one process at a time.

A service's migrations/versions/ holds the steps. Replicas that start together wait for each other: on SQLite by the
write lock, on PostgreSQL by an advisory lock. All steps are one transaction: they all happen or none does. A database
that has the newest step already, as at every start but the first, is asked for that and no more: importing Alembic
takes longer than all else that a start does with a store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh.store.engine import open_engine, unavailable_as_error

if TYPE_CHECKING:
    from pathlib import Path

# Key of the advisory lock: any number that nothing else in the same database uses.
_LOCK_KEY = 7_201_963
_VERSION_TABLE = "alembic_version"
"""Alembic's own, of one row."""


def migrate(url: str, folder: Path, *, name: str) -> None:
    """Runs what is missing of the migrations in `folder` (…/migrations). Blocks: call it in a thread or before a loop.

    Raises StoreUnavailableError.
    """
    engine = open_engine(url, writer=True)
    try:
        with unavailable_as_error(name), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            if _revision(connection) != newest(folder):
                _upgrade(connection, folder)
    finally:
        engine.dispose()


def newest(folder: Path) -> str:
    """Returns the revision of the last step, which its file's name begins with, as in `0002_what_it_does.py`."""
    return max(file.name.partition("_")[0] for file in (folder / "versions").glob("[0-9]*_*.py"))


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
