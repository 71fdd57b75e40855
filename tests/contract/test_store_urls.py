"""The URL of a store's file: SQLAlchemy's own text for it, and the file is where the path says."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from mesh.store.engine import open_engine
from mesh.store.urls import sqlite_url

NAMES = [
    "Übung",
    "日本",
    "a\\b",
    "a, b",
    "a?b#c",
    "a%20b",
    "a%3Fb",
    " a ",
    "a\nb",
    "$a 'b' \"c\" {d}",
    "a&b=c;d",
    "@:",
    "~",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_stores_file_is_where_its_path_says(name: str, tmp_path: Path) -> None:
    """No character of a home's name means anything in the URL, so that no two homes share a store."""
    file = tmp_path / name / "stores" / "team-a.db"
    url = sqlite_url(file)
    assert url == sa.URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    engine = open_engine(url, writer=True)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    engine.dispose()
    assert file.is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
