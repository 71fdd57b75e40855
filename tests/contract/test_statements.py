"""Statements that run on the driver's cursor do what SQLAlchemy's own execution does, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from mesh.store.database import insert_or_skip
from mesh.store.engine import is_unavailable, open_engine
from mesh.store.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

metadata = sa.MetaData()
things = sa.Table(
    "things",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("name", sa.String(20), nullable=False, unique=True),
    sa.Column("data", sa.LargeBinary()),
)


@pytest.fixture
def connection(database_url: str) -> Iterator[sa.Connection]:
    engine = open_engine(database_url, writer=True)
    metadata.create_all(engine)
    with engine.connect() as connection, connection.begin():
        yield connection
    engine.dispose()


def test_rows_and_changes(connection: sa.Connection) -> None:
    """Inserts one and many, skips what is there, returns rows by column name, counts what a change changed."""
    dialect = connection.dialect
    insert = Statement(insert_or_skip(things, dialect), dialect)
    assert insert.change(connection, {"id": 1, "name": "one", "data": b"\x00\xff"}) == 1
    assert insert.change(connection, {"id": 2, "name": "one", "data": None}) == 0
    insert.change_all(connection, [{"id": number, "name": str(number), "data": None} for number in (2, 3, 4)])
    insert.change_all(connection, [])
    page = Statement(
        things.select()
        .where(things.c.id > sa.bindparam("after"))
        .order_by(things.c.id)
        .limit(sa.bindparam("row_limit")),
        dialect,
    )
    assert [row["name"] for row in page.rows(connection, {"after": 1, "row_limit": 2})] == ["2", "3"]
    first = page.row(connection, {"after": 0, "row_limit": 1})
    assert first is not None
    assert (first["id"], first["name"], bytes(first["data"])) == (1, "one", b"\x00\xff")
    assert page.row(connection, {"after": 4, "row_limit": 1}) is None
    update = Statement(things.update().where(things.c.id > sa.bindparam("after")).values(data=None), dialect)
    assert update.change(connection, {"after": 2}) == 2


def test_an_id_is_returned_for_the_columns_given(connection: sa.Connection) -> None:
    """With RETURNING and only some columns given, the database's own id comes back."""
    insert = Statement(things.insert().returning(things.c.id), connection.dialect, columns=["name", "data"])
    ids = [insert.rows(connection, {"name": name, "data": b""})[0]["id"] for name in ("a", "b")]
    assert ids[1] == ids[0] + 1


def test_errors_are_those_of_sqlalchemy(connection: sa.Connection) -> None:
    """A broken constraint is an IntegrityError, and says nothing against the database."""
    insert = Statement(things.insert(), connection.dialect)
    insert.change(connection, {"id": 1, "name": "one", "data": None})
    with pytest.raises(sa.exc.IntegrityError) as caught:
        insert.change(connection, {"id": 1, "name": "two", "data": None})
    assert not is_unavailable(caught.value)
