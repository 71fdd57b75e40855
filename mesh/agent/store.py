"""The agent's store: what it said and what it heard, in its own database.

Owns the SQL and nothing of the rules. Callers: `logic`, through its Store protocol, and `api` for lists. One turn is
stored for each (debate, turn number), by a unique key, whatever number of replicas try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from mesh.agent.model import HeardTurn, Kind, Memory, Utterance
from mesh.errors import RequestIdReusedError
from mesh.store.database import insert_or_skip
from mesh.store.delivery import delivery_tables
from mesh.store.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.agent.model import Floor
    from mesh.bus.message import Outgoing
    from mesh.store.database import Committed, Database, Transaction

metadata = sa.MetaData()
delivery_tables(metadata)
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

utterances = sa.Table(
    "utterances",
    metadata,
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
heard = sa.Table(
    "heard",
    metadata,
    sa.Column("debate", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("round", sa.Integer(), nullable=False),
    sa.Column("agent", sa.String(64), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
)

# ---- statements, built once ----

_SAID = utterances.select().where(
    utterances.c.debate == sa.bindparam("debate_name"), utterances.c.turn_number == sa.bindparam("place")
)
_HEARD = (
    heard.select()
    .where(heard.c.debate == sa.bindparam("debate_name"), heard.c.number < sa.bindparam("place"))
    .order_by(heard.c.number)
)
_BY_REQUEST = utterances.select().where(utterances.c.request_id == sa.bindparam("request"))
_COUNT = sa.select(sa.func.count()).select_from(utterances)
_NEWEST = (
    utterances.select()
    .where(utterances.c.sequence < sa.bindparam("before"))
    .order_by(utterances.c.sequence.desc())
    .limit(sa.bindparam("row_limit"))
)
_NEWEST_OF_DEBATE = _NEWEST.where(utterances.c.debate == sa.bindparam("debate_name"))


class Messages(Protocol):
    """Turns an answer into its record; `events` implements it."""

    def turn_taken(self, floor: Floor, utterance: Utterance, headers: Mapping[str, str]) -> Outgoing:
        """Returns the record that answers the floor."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Returns the headers of what is being handled now; called on the event loop, which knows the trace."""
        ...


class AgentStore:
    """What the agent said and heard. Methods raise StoreUnavailableError when the database cannot be used."""

    def __init__(self, database: Database, messages: Messages, agent: str) -> None:
        self._database = database
        self._messages = messages
        self._agent = agent
        dialect = database.dialect
        given = [column.name for column in utterances.columns if column.name != "sequence"]
        self._insert_utterance = Statement(insert_or_skip(utterances, dialect), dialect, columns=given)
        self._insert_heard = Statement(insert_or_skip(heard, dialect), dialect)
        self._said = Statement(_SAID, dialect)
        self._heard = Statement(_HEARD, dialect)

    async def memory(self, debate: str, turn_number: int) -> Memory:
        """Returns what is known of the debate before this turn, and what was said at it."""
        values = {"debate_name": debate, "place": turn_number}

        def job(connection: sa.Connection) -> Memory:
            said = self._said.row(connection, values)
            turns = self._heard.rows(connection, values)
            return Memory(
                said=None if said is None else _utterance(said),
                heard=tuple(HeardTurn(row["number"], row["round"], row["agent"], row["text"]) for row in turns),
            )

        return await self._database.read(job)

    async def remember(self, debate: str, turns: Sequence[HeardTurn]) -> None:
        """Stores turns that were fetched; known ones stay as they are."""
        if turns:
            await self._database.write(lambda transaction: self._hear(transaction, debate, turns))

    async def speak(self, floor: Floor, utterance: Utterance) -> Committed[None]:
        """Stores the turn, what was heard with the floor, and the answer to it, in one transaction.

        If a turn is stored for this place already, that one is sent and nothing else changes.
        """
        headers = self._messages.headers()

        def job(transaction: Transaction) -> None:
            said = utterance
            if self._insert_utterance.change(transaction.connection, _values(utterance, None, "")) == 1:
                own = HeardTurn(floor.turn_number, floor.round, self._agent, utterance.text)
                self._hear(transaction, floor.debate, [own] if floor.last_turn is None else [floor.last_turn, own])
            else:
                values = {"debate_name": floor.debate, "place": floor.turn_number}
                (row,) = self._said.rows(transaction.connection, values)
                said = _utterance(row)
            transaction.enqueue(self._messages.turn_taken(floor, said, headers))

        return await self._database.write(job)

    async def answered(self, request_id: str, digest: str) -> Utterance | None:
        """Returns the answer stored for this request; RequestIdReusedError if it was another question."""
        return await self._database.read(lambda connection: _answered(connection, request_id, digest))

    async def answer(self, utterance: Utterance, request_id: str, digest: str) -> Utterance:
        """Stores an answer; returns it, or the one that another replica stored meanwhile for this request."""

        def job(transaction: Transaction) -> Utterance:
            values = _values(utterance, request_id or None, digest)
            if self._insert_utterance.change(transaction.connection, values) == 1:
                return utterance
            return _answered(transaction.connection, request_id, digest) or utterance

        return (await self._database.write(job)).value

    async def count(self) -> int:
        """Returns the number of utterances."""
        return await self._database.read(lambda connection: connection.execute(_COUNT).scalar_one())

    async def newest(self, limit: int, before: int | None, debate: str) -> Sequence[tuple[int, Utterance]]:
        """Returns utterances, newest first, with their place in the list: those before place `before`, if given.

        A `debate` that is not empty limits them to that debate.
        """
        values: dict[str, Any] = {"before": before if before is not None else 2**62, "row_limit": limit}
        if debate:
            values["debate_name"] = debate
        statement = _NEWEST_OF_DEBATE if debate else _NEWEST

        def job(connection: sa.Connection) -> list[tuple[int, Utterance]]:
            return [(row["sequence"], _utterance(row)) for row in connection.execute(statement, values).mappings()]

        return await self._database.read(job)

    def _hear(self, transaction: Transaction, debate: str, turns: Sequence[HeardTurn]) -> None:
        rows = [
            {"debate": debate, "number": turn.number, "round": turn.round, "agent": turn.agent, "text": turn.text}
            for turn in turns
        ]
        self._insert_heard.change_all(transaction.connection, rows)


def _answered(connection: sa.Connection, request_id: str, digest: str) -> Utterance | None:
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
        "debate": utterance.debate if turn else None,
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
        debate=row["debate"] or "",
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
