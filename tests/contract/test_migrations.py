"""Each service's migrations make exactly the tables that its store uses, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mesh.errors import StoreUnavailableError, StoreUnusableError
from mesh.store.engine import open_engine
from mesh.store.migrations import migrate, newest
from mesh.store.urls import sqlite_url
from services.debater.store import metadata as debater
from services.moderator.model.change import Ended, Event
from services.moderator.store.rows import debate_of, event_of
from services.moderator.store.tables import metadata as moderator

SERVICES = {"moderator": moderator, "debater": debater}

OLD_DEBATE = {
    "id": "d1",
    "version": 9,
    "topic": "Is it so?",
    "seats": '[["team-a","FOR"],["team-b","AGAINST"]]',
    "max_rounds": 1,
    "settings": "{}",
    "token_budget": 1000,
    "create_time_us": 1,
    "traceparent": "",
    "request_digest": "",
    "state": "ENDED",
    "stop_reason": "MAX_ROUNDS",
    "evidence": None,
    "round": 1,
    "question": "Why?",
    "turn_count": 2,
    "event_count": 7,
    "tokens_spent": 10,
    "forfeits": "[0,0]",
    "redundant": '[{"round":1,"sentences":0,"redundancy":1.0,"redundant":true,"pairs":[],'
    '"embedding_model":"m","opinion":null}]',
    "summary": "Both argued.",
    "verdict": "team-a argued better.",
    "end_time_us": 5,
    "step": "NONE",
    "due_us": None,
    "owner": "",
    "attempt": 0,
    "granted_us": 1,
}
"""A debate as revision 0002 stored it."""


def _folder(service: str) -> Path:
    return Path("services").resolve() / service / "migrations"


def _differences(database_url: str, service: str) -> list[Any]:
    """What the database has otherwise than the service's store declares."""
    metadata: sa.MetaData = SERVICES[service]
    engine = open_engine(database_url, writer=False)
    with engine.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrated_schema_is_the_stores(service: str, database_url: str) -> None:
    """Four replicas that start together migrate once, and nothing differs from the tables that the store declares."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(database_url, _folder(service), name=service), range(4)))
    assert _differences(database_url, service) == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_home_of_the_first_schema_is_upgraded(service: str, database_url: str, tmp_path: Path) -> None:
    """What it holds stays; what is dead in its schema goes; a second start changes nothing more."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    shutil.copy(_folder(service) / "versions" / "0001_first_schema.py", versions)
    migrate(database_url, tmp_path / "migrations", name=service)
    engine = open_engine(database_url, writer=True)
    outbox = SERVICES[service].tables["outbox"]
    row = {
        "topic": "t",
        "key": "k",
        "event_id": "e",
        "type": "a.B",
        "payload": b"x",
        "headers": "{}",
        "create_time_us": 5,
    }
    with engine.begin() as connection:
        connection.execute(outbox.insert(), row)
        connection.execute(sa.text("INSERT INTO inbox (event_id, create_time_us) VALUES ('e1', 5)"))
    for _ in range(2):
        migrate(database_url, _folder(service), name=service)
    with engine.begin() as connection:
        assert [{**kept, "id": None} for kept in connection.execute(outbox.select()).mappings()] == [
            {**row, "id": None}
        ]
        assert not sa.inspect(connection).has_table("inbox")
    engine.dispose()
    assert _differences(database_url, service) == []


def test_debates_of_the_schema_before_are_readable(database_url: str, tmp_path: Path) -> None:
    """A debate that ended under revision 0002 keeps its verdict; it has no agenda, no scores and no reason for that."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    for step in ("0001_first_schema.py", "0002_drop_inbox.py"):
        shutil.copy(_folder("moderator") / "versions" / step, versions)
    migrate(database_url, tmp_path / "migrations", name="moderator")
    engine = open_engine(database_url, writer=True)
    old_debates = sa.table("debates", *map(sa.column, OLD_DEBATE))
    ended = json.dumps({name: OLD_DEBATE[name] for name in OLD_DEBATE if not name.startswith("request_")})
    with engine.begin() as connection:
        connection.execute(old_debates.insert(), OLD_DEBATE)
        connection.execute(
            sa.text(
                "INSERT INTO events (debate_id, number, create_time_us, kind, data) VALUES (:i, 7, 5, 'ended', :d)"
            ),
            {"i": OLD_DEBATE["id"], "d": ended},
        )
    migrate(database_url, _folder("moderator"), name="moderator")
    with engine.begin() as connection:
        debate = debate_of(dict(connection.execute(moderator.tables["debates"].select()).mappings().one()))
        event = event_of(dict(connection.execute(moderator.tables["events"].select()).mappings().one()), {})
    engine.dispose()
    assert (debate.verdict, debate.summary) == ("team-a argued better.", "Both argued.")
    assert (debate.language, debate.agenda, debate.judgement, debate.verdict_absence) == ("", (), None, None)
    assert (debate.redundant[0].redundancy, debate.redundant[0].redundant) == (0.0, False), "it had no sentence"
    assert event == Event(7, 5, Ended(debate))


@pytest.mark.parametrize("service", SERVICES)
def test_a_steps_file_is_named_for_its_revision(service: str) -> None:
    """The newest step is known from the files' names alone, and is the one that Alembic goes to."""
    folder = _folder(service)
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert newest(folder) == script.get_current_head()
    for step in script.walk_revisions():
        assert Path(step.path).name.startswith(f"{step.revision}_")


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_that_is_up_to_date_does_without_alembic(service: str, database_url: str) -> None:
    """A start after the first one asks which revision there is, and imports no Alembic."""
    folder = _folder(service)
    migrate(database_url, folder, name=service)
    again = (
        "import sys; from pathlib import Path; from mesh.store.migrations import migrate; "
        "migrate(sys.argv[1], Path(sys.argv[2]), name='again'); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", again, database_url, str(folder)], check=True)


def test_a_store_of_a_newer_version_is_refused_by_name(database_url: str) -> None:
    """Its steps are not known here: nothing is changed, and the message says which version is needed, in one line."""
    migrate(database_url, _folder("debater"), name="team-a")
    engine = open_engine(database_url, writer=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    engine.dispose()
    with pytest.raises(
        StoreUnusableError, match=r"newer version of Rostrum \(its schema is 0099.*start that"
    ) as refused:
        migrate(database_url, _folder("debater"), name="team-a")
    assert "\n" not in str(refused.value)
    assert not refused.value.retriable


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"This is no database. " * 400, "is no SQLite database: move its file away, then start again"),
        (b"SQLite format 3\0" + b"\xff" * 8_000, r"(is no SQLite database|is damaged): "),
    ],
)
def test_a_file_that_is_no_store_is_refused_by_name(content: bytes, line: str, tmp_path: Path) -> None:
    """With the path of the file, and what to do with it."""
    file = tmp_path / "team-a.db"
    file.write_bytes(content)
    with pytest.raises(StoreUnavailableError, match=rf"the store {re.escape(str(file))} {line}"):
        migrate(sqlite_url(file), _folder("debater"), name="team-a")
    assert file.read_bytes() == content


def test_a_folder_in_the_place_of_a_store_is_one_line(tmp_path: Path) -> None:
    """Nothing can be opened there."""
    (tmp_path / "team-a.db").mkdir()
    with pytest.raises(StoreUnavailableError, match=r"team-a.db cannot be opened: let its path name a file"):
        migrate(sqlite_url(tmp_path / "team-a.db"), _folder("debater"), name="team-a")


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Not even a table is made in it."""
    file = tmp_path / "team-a.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(StoreUnusableError, match=r"is another program's \(it has the table bookmarks\): move it away"):
        migrate(sqlite_url(file), _folder("debater"), name="team-a")
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("bookmarks",)]
