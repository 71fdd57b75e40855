"""The agent's store: what it said and the turns it remembers, in its own database.

Owns the SQL and nothing of the rules. Callers: `floors`, `questions` and `api`, through `ports.Store`. One turn is
stored for each (conversation, turn number), by a unique key, whatever number of replicas try. Tables and columns bear
the names of the first schema: a conversation is a `debate` there, remembered turns are `heard`. One note is stored
for each (conversation, name), the first one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from mesh.agent.model import Cost, Kind, Memory, Note, RememberedTurn, Utterance
from mesh.errors import RequestIdReusedError
from mesh.store.database import insert_or_skip
from mesh.store.outbox import outbox_table
from mesh.store.statements import Statement
from mesh.telemetry.setup import trace_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.agent.model import Floor
    from mesh.agent.ports import TurnEncoder
    from mesh.store.database import Committed, Database, Transaction

_tables = sa.MetaData()
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

utterances = sa.Table(
    "utterances",
    _tables,
    sa.Column("sequence", _ID, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("debate", sa.String(64)),
    sa.Column("turn_number", sa.Integer()),
    sa.Column("round", sa.Integer(), nullable=False),
    sa.Column("question", sa.Text(), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
    sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
    sa.Column("create_time_us", sa.BigInteger(), nullable=False),
    sa.Column("forfeit_reason", sa.Text(), nullable=False),
    sa.Column("request_id", sa.String(128), unique=True),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.UniqueConstraint("debate", "turn_number", name="utterances_place"),
)
remembered_turns = sa.Table(
    "heard",
    _tables,
    sa.Column("debate", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("round", sa.Integer(), nullable=False),
    sa.Column("agent", sa.String(64), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
)
notes = sa.Table(
    "notes",
    _tables,
    sa.Column("conversation", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("turn_number", sa.Integer(), nullable=False),
    sa.Column("calls", sa.Integer(), nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
    sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
    sa.Column("create_time_us", sa.BigInteger(), nullable=False),
)

# ---- statements, built once ----

_TURN = utterances.select().where(
    utterances.c["debate"] == sa.bindparam("conversation"), utterances.c.turn_number == sa.bindparam("number")
)
_REMEMBERED = (
    remembered_turns.select()
    .where(
        remembered_turns.c["debate"] == sa.bindparam("conversation"),
        remembered_turns.c.number < sa.bindparam("before_number"),
    )
    .order_by(remembered_turns.c.number)
)
_NOTE = notes.select().where(
    notes.c.conversation == sa.bindparam("of_conversation"), notes.c.name == sa.bindparam("of_name")
)
_BY_REQUEST = utterances.select().where(utterances.c.request_id == sa.bindparam("request"))
_COUNT = sa.select(sa.func.count()).select_from(utterances)
_NEWEST = (
    utterances.select()
    .where(utterances.c.sequence < sa.bindparam("before"))
    .order_by(utterances.c.sequence.desc())
    .limit(sa.bindparam("row_limit"))
)
_NEWEST_OF_CONVERSATION = _NEWEST.where(utterances.c["debate"] == sa.bindparam("conversation"))


def add_tables(metadata: sa.MetaData) -> None:
    """Adds an agent's tables, and the outbox, to a service's own. The service's migrations make them."""
    for table in (utterances, remembered_turns, notes):
        table.to_metadata(metadata)
    outbox_table(metadata)


class AgentStore:
    """What the agent said and remembers. Methods raise StoreUnavailableError when the database cannot be used."""

    def __init__(self, database: Database, encoder: TurnEncoder, agent: str) -> None:
        self._database = database
        self._encoder = encoder
        self._agent = agent
        dialect = database.dialect
        given = [column.name for column in utterances.columns if column.name != "sequence"]
        self._insert_utterance = Statement(insert_or_skip(utterances, dialect), dialect, columns=given)
        self._insert_remembered = Statement(insert_or_skip(remembered_turns, dialect), dialect)
        self._select_turn = Statement(_TURN, dialect)
        self._select_remembered = Statement(_REMEMBERED, dialect)
        self._insert_note = Statement(insert_or_skip(notes, dialect), dialect)
        self._select_note = Statement(_NOTE, dialect)

    async def load_memory(self, conversation: str, turn_number: int) -> Memory:
        """Returns what is known of the conversation before this turn, and what was said at it."""

        def job(connection: sa.Connection) -> Memory:
            turn = self._select_turn.row(connection, {"conversation": conversation, "number": turn_number})
            before = {"conversation": conversation, "before_number": turn_number}
            rows = self._select_remembered.rows(connection, before)
            return Memory(
                utterance=None if turn is None else _utterance(turn),
                turns=tuple(RememberedTurn(row["number"], row["round"], row["agent"], row["text"]) for row in rows),
            )

        return await self._database.read(job)

    async def remember_turns(self, conversation: str, turns: Sequence[RememberedTurn]) -> None:
        """Stores turns that were fetched; known ones stay as they are."""
        if turns:
            await self._database.write(lambda transaction: self._remember(transaction, conversation, turns))

    async def record_turn(self, floor: Floor, utterance: Utterance) -> Committed[None]:
        """Stores the turn, the one that came with the floor, and the answer to the floor, in one transaction.

        If a turn is stored for this place already, that one is sent and nothing else changes.
        """
        headers = trace_headers()  # here, on the event loop, which knows the trace

        def job(transaction: Transaction) -> None:
            stored = utterance
            if self._insert_utterance.change(transaction.connection, _values(utterance, None, "")) == 1:
                own = RememberedTurn(floor.turn_number, floor.round, self._agent, utterance.text)
                turns = [own] if floor.last_turn is None else [floor.last_turn, own]
                self._remember(transaction, floor.conversation, turns)
            else:
                place = {"conversation": floor.conversation, "number": floor.turn_number}
                (row,) = self._select_turn.rows(transaction.connection, place)
                stored = _utterance(row)
            transaction.enqueue(self._encoder.encode_turn(floor, stored, headers))

        return await self._database.write(job)

    async def find_turn(self, conversation: str, turn_number: int) -> Utterance | None:
        """Returns what was said at this turn, if anything is stored."""
        place = {"conversation": conversation, "number": turn_number}
        row = await self._database.read(lambda connection: self._select_turn.row(connection, place))
        return None if row is None else _utterance(row)

    async def load_note(self, conversation: str, name: str) -> Note | None:
        """Returns the note of that name, or None."""
        return await self._database.read(lambda connection: self._find_note(connection, conversation, name))

    async def record_note(self, conversation: str, name: str, note: Note) -> Note:
        """Stores a note; returns it, or the one that is stored under that name already."""

        def job(transaction: Transaction) -> Note:
            values = {
                "conversation": conversation,
                "name": name,
                "text": note.text,
                "turn_number": note.turn_number,
                "calls": note.cost.calls,
                "prompt_tokens": note.cost.prompt_tokens,
                "completion_tokens": note.cost.completion_tokens,
                "create_time_us": note.create_time_us,
            }
            if self._insert_note.change(transaction.connection, values) == 1:
                return note
            return self._find_note(transaction.connection, conversation, name) or note

        return (await self._database.write(job)).value

    async def find_answer(self, request_id: str, digest: str) -> Utterance | None:
        """Returns the answer stored for this request; RequestIdReusedError if it was another question."""
        return await self._database.read(lambda connection: _find_answer(connection, request_id, digest))

    async def record_answer(self, utterance: Utterance, request_id: str, digest: str) -> Utterance:
        """Stores an answer; returns it, or the one that another replica stored meanwhile for this request."""

        def job(transaction: Transaction) -> Utterance:
            values = _values(utterance, request_id or None, digest)
            if self._insert_utterance.change(transaction.connection, values) == 1:
                return utterance
            return _find_answer(transaction.connection, request_id, digest) or utterance

        return (await self._database.write(job)).value

    async def count_utterances(self) -> int:
        """Returns the number of utterances."""
        return await self._database.read(lambda connection: connection.execute(_COUNT).scalar_one())

    async def list_utterances(
        self, limit: int, before: int | None, conversation: str
    ) -> Sequence[tuple[int, Utterance]]:
        """Returns utterances, newest first, with their place in the list: those before place `before`, if given.

        A `conversation` that is not empty limits them to that conversation.
        """
        values: dict[str, Any] = {"before": before if before is not None else 2**62, "row_limit": limit}
        if conversation:
            values["conversation"] = conversation
        statement = _NEWEST_OF_CONVERSATION if conversation else _NEWEST

        def job(connection: sa.Connection) -> list[tuple[int, Utterance]]:
            return [(row["sequence"], _utterance(row)) for row in connection.execute(statement, values).mappings()]

        return await self._database.read(job)

    def _find_note(self, connection: sa.Connection, conversation: str, name: str) -> Note | None:
        row = self._select_note.row(connection, {"of_conversation": conversation, "of_name": name})
        if row is None:
            return None
        cost = Cost(row["calls"], row["prompt_tokens"], row["completion_tokens"])
        return Note(row["text"], row["turn_number"], cost, row["create_time_us"])

    def _remember(self, transaction: Transaction, conversation: str, turns: Sequence[RememberedTurn]) -> None:
        rows = [
            {"debate": conversation, "number": turn.number, "round": turn.round, "agent": turn.agent, "text": turn.text}
            for turn in turns
        ]
        self._insert_remembered.change_all(transaction.connection, rows)


def _find_answer(connection: sa.Connection, request_id: str, digest: str) -> Utterance | None:
    row = connection.execute(_BY_REQUEST, {"request": request_id}).mappings().first()
    if row is None:
        return None
    if row["request_digest"] != digest:
        message = f"request_id {request_id!r} was used with another question; use a new one"
        raise RequestIdReusedError(message, request_id=request_id)
    return _utterance(row)


def _values(utterance: Utterance, request_id: str | None, digest: str) -> dict[str, Any]:
    turn = utterance.kind is Kind.TURN
    return {
        "id": utterance.id,
        "kind": utterance.kind.value,
        "debate": utterance.conversation if turn else None,
        "turn_number": utterance.turn_number if turn else None,
        "round": utterance.round,
        "question": utterance.question,
        "text": utterance.text,
        "model": utterance.model,
        "prompt_tokens": utterance.prompt_tokens,
        "completion_tokens": utterance.completion_tokens,
        "create_time_us": utterance.create_time_us,
        "forfeit_reason": utterance.forfeit_reason,
        "request_id": request_id,
        "request_digest": digest,
    }


def _utterance(row: Mapping[str, Any] | sa.RowMapping) -> Utterance:
    return Utterance(
        id=row["id"],
        kind=Kind(row["kind"]),
        conversation=row["debate"] or "",
        turn_number=row["turn_number"] or 0,
        round=row["round"],
        question=row["question"],
        text=row["text"],
        model=row["model"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        create_time_us=row["create_time_us"],
        forfeit_reason=row["forfeit_reason"],
    )
