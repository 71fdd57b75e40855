"""Each service's migrations make exactly the tables that its store uses, on SQLite and on PostgreSQL."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mesh.store.engine import open_engine
from mesh.store.migrations import migrate
from services.debater.store import metadata as debater
from services.moderator.store.tables import metadata as moderator

if TYPE_CHECKING:
    import sqlalchemy as sa

SERVICES = {"moderator": moderator, "debater": debater}


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrated_schema_is_the_stores(service: str, database_url: str) -> None:
    """Four replicas that start together migrate once, and nothing differs from the tables that the store declares."""
    folder = Path("services").resolve() / service / "migrations"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(database_url, folder, name=service), range(4)))
    metadata: sa.MetaData = SERVICES[service]
    engine = open_engine(database_url, writer=False)
    with engine.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
    engine.dispose()
