"""Brings a service's database to its newest schema at start (Alembic), one process at a time.

A service's migrations/versions/ holds the steps. Replicas that start together wait for each other: on SQLite by the
write lock, on PostgreSQL by an advisory lock. All steps are one transaction: they all happen or none does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh.store.engine import open_engine, unavailable_as_error

if TYPE_CHECKING:
    from pathlib import Path

# Key of the advisory lock: any number that nothing else in the same database uses.
_LOCK_KEY = 7_201_963


def migrate(url: str, folder: Path, *, name: str) -> None:
    """Runs what is missing of the migrations in `folder` (…/migrations). Blocks: call it in a thread or before a loop.

    Raises StoreUnavailableError.
    """
    engine = open_engine(url, writer=True)
    try:
        with unavailable_as_error(name), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            _upgrade(connection, folder)
    finally:
        engine.dispose()


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
