"""The moderator's store: a Change is one transaction, held against the version it was made from.

Owns the SQL and nothing of the rules. Callers: `logic`, through its Store protocol. Numbers of turns and events have
no gap because they come from the debate's row, which the same transaction changes by compare-and-set.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sqlalchemy as sa

from mesh.errors import RequestIdReusedError
from mesh.store.statements import Statement
from services.moderator.errors import DebateNotFoundError
from services.moderator.model.change import Change
from services.moderator.model.debate import DEBATES, State, Step
from services.moderator.store import statements
from services.moderator.store.rows import (
    changing_values,
    debate_of,
    debate_values,
    event_of,
    event_values,
    turn_of,
    turn_values,
)
from services.moderator.store.tables import events, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.bus.message import Outgoing
    from mesh.store.database import Database, Transaction
    from services.moderator.model.change import Event
    from services.moderator.model.debate import Debate
    from services.moderator.model.turn import Floor, Turn

T = TypeVar("T")

# Times a decision is made again because another replica changed the debate meanwhile (PostgreSQL only; SQLite's writers
# exclude each other). Each loss means that somebody else's change was stored, so this many in a row are a fault.
MAX_CONFLICTS = 20


class FloorEncoder(Protocol):
    """Turns floors into records for their agents; `events` implements it."""

    def encode_granted(
        self, debate: Debate, floor: Floor, last_turn: Turn | None, headers: Mapping[str, str]
    ) -> Outgoing:
        """Returns the record that grants the floor."""
        ...

    def encode_withdrawn(self, debate: Debate, floor: Floor, reason: str, headers: Mapping[str, str]) -> Outgoing:
        """Returns the record that withdraws the floor."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Returns the headers of what is being handled now; called on the event loop."""
        ...


class ConflictError(Exception):
    """Another replica changed the debate between the read and the write of one transaction."""


# Debates of which the newest state and the turns are kept, those changed last: some 15 KB each.
KEPT_DEBATES = 200


@dataclass(slots=True)
class _Kept:
    """What this process stored last of a debate. Only a guess: compare-and-set holds it to the store."""

    debate: Debate
    turns: list[Turn]
    """From the first without a gap, as far as this process stored them."""


class DebateStore:
    """Debates, turns and events. Every method raises StoreUnavailableError when the database cannot be used."""

    def __init__(self, database: Database, encoder: FloorEncoder) -> None:
        self._database = database
        self._encoder = encoder
        self._get = Statement(statements.GET, database.dialect)
        self._update = Statement(statements.UPDATE, database.dialect)
        self._insert_turn = Statement(turns.insert(), database.dialect)
        self._insert_event = Statement(events.insert(), database.dialect)
        self._turns = Statement(statements.TURNS, database.dialect)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """Running debates by id, those changed last at the end."""

    async def create(self, change: Change, request_id: str, digest: str) -> Change:
        """Stores a new debate; returns the change, or what the first call with this request_id made, as it now is.

        Raises RequestIdReusedError if that call's digest was another one.
        """

        def job(transaction: Transaction) -> Change:
            if request_id:
                row = (
                    transaction.connection.execute(statements.BY_REQUEST, {"request_id": request_id}).mappings().first()
                )
                if row is not None:
                    if row["request_digest"] != digest:
                        message = f"request_id {request_id!r} was used for another debate"
                        raise RequestIdReusedError(message, request_id=request_id)
                    return Change(debate_of(_as_dict(row)))
            values = {**debate_values(change.debate), "request_id": request_id or None, "request_digest": digest}
            transaction.connection.execute(statements.INSERT_DEBATE, values)
            self._insert_events(transaction, change)
            return change

        for _ in range(2):  # a second replica may store the same request_id between our read and our insert
            try:
                return (await self._database.write(job)).value
            except sa.exc.IntegrityError:
                if not request_id:
                    raise
        return (await self._database.write(job)).value

    async def change(self, debate_id: str, decide: Callable[[Debate, int], Change | T]) -> Change | T:
        """Lets `decide` make a Change of the debate as it is (and the time, in us) and stores it; returns its answer.

        `decide` may be called again, with a newer debate. Anything else than a Change is returned and stores nothing.
        Raises DebateNotFoundError.
        """
        headers = self._encoder.headers()

        def job(transaction: Transaction) -> Change | T:
            kept = self._kept.get(debate_id)
            if kept is not None:
                debate = kept.debate
                answer = decide(debate, transaction.now_us)
                if isinstance(answer, Change) and self._store(transaction, debate, answer, headers):
                    return answer
            # Nothing is kept, or another replica changed it since: what it is now decides, also that nothing changes.
            row = self._get.row(transaction.connection, {"id": debate_id})
            if row is None:
                raise _not_found(debate_id)
            debate = debate_of(row)
            answer = decide(debate, transaction.now_us)
            if isinstance(answer, Change) and not self._store(transaction, debate, answer, headers):
                raise ConflictError(debate_id)
            return answer

        for _ in range(MAX_CONFLICTS):
            try:
                return self._keep((await self._database.write(job)).value)
            except ConflictError:
                continue
        return self._keep((await self._database.write(job)).value)

    def _keep(self, answer: Change | T) -> Change | T:
        """Keeps a debate that was just committed; returns the answer."""
        if isinstance(answer, Change):
            debate, turn = answer.debate, answer.turn
            kept = self._kept.pop(debate.id, None) or _Kept(debate, [])
            if debate.state is State.RUNNING:
                kept.debate = max(kept.debate, debate, key=lambda state: state.version)
                if turn is not None and turn.number == len(kept.turns) + 1:
                    kept.turns.append(turn)
                self._kept[debate.id] = kept
                if len(self._kept) > KEPT_DEBATES:
                    self._kept.popitem(last=False)
        return answer

    def _store(self, transaction: Transaction, before: Debate, change: Change, headers: Mapping[str, str]) -> bool:
        """Stores the change if the debate still is what it was made from; says so."""
        connection, debate = transaction.connection, change.debate
        values = {"debate_id": debate.id, "expected": before.version, **changing_values(debate)}
        if self._update.change(connection, values) != 1:
            return False
        if change.turn is not None:
            self._insert_turn.change(connection, turn_values(debate.id, change.turn))
        self._insert_events(transaction, change)
        if change.withdrawn is not None:
            floor, reason = change.withdrawn
            transaction.enqueue(self._encoder.encode_withdrawn(debate, floor, reason, headers))
        if change.granted is not None:
            last_turn = change.turn
            if last_turn is None and debate.turn_count > 0:
                query = {"debate_id": debate.id, "number": debate.turn_count}
                last_turn = turn_of(_as_dict(connection.execute(statements.TURN, query).mappings().one()))
            transaction.enqueue(self._encoder.encode_granted(debate, change.granted, last_turn, headers))
        return True

    def _insert_events(self, transaction: Transaction, change: Change) -> None:
        values = [event_values(change.debate.id, event) for event in change.events]
        self._insert_event.change_all(transaction.connection, values)

    async def get(self, debate_id: str) -> Debate:
        """Returns the debate as it is now. Raises DebateNotFoundError."""

        def job(connection: sa.Connection) -> Debate:
            row = self._get.row(connection, {"id": debate_id})
            if row is None:
                raise _not_found(debate_id)
            return debate_of(row)

        return await self._database.read(job)

    async def list_debates(self, limit: int, older_than: tuple[int, str] | None) -> Sequence[Debate]:
        """Returns debates, newest first; `older_than` is (create_time_us, id) of the last one of the page before."""

        def job(connection: sa.Connection) -> list[Debate]:
            if older_than is None:
                rows = connection.execute(statements.NEWEST, {"row_limit": limit})
            else:
                query = {"row_limit": limit, "time_us": older_than[0], "id": older_than[1]}
                rows = connection.execute(statements.OLDER, query)
            return [debate_of(_as_dict(row)) for row in rows.mappings()]

        return await self._database.read(job)

    async def list_turns(self, debate_id: str, after_number: int, limit: int) -> Sequence[Turn]:
        """Returns turns above a number, by number; none if there is no such debate."""

        def job(connection: sa.Connection) -> list[Turn]:
            query = {"debate_id": debate_id, "after_number": after_number, "row_limit": limit}
            return [turn_of(row) for row in self._turns.rows(connection, query)]

        return await self._database.read(job)

    async def list_all_turns(self, debate: Debate) -> Sequence[Turn]:
        """Returns the turns that the debate had when it was as this one is, all of them."""
        kept = self._kept.get(debate.id)
        spoken = kept.turns[: debate.turn_count] if kept is not None else ()
        return spoken if len(spoken) == debate.turn_count else await self.list_turns(debate.id, 0, debate.turn_count)

    async def list_events(self, debate_id: str, after_number: int, limit: int) -> Sequence[Event]:
        """Returns events above a number, by number; none if there is no such debate."""

        def job(connection: sa.Connection) -> list[Event]:
            query = {"debate_id": debate_id, "after_number": after_number, "row_limit": limit}
            rows = [_as_dict(row) for row in connection.execute(statements.EVENTS, query).mappings()]
            numbers = [row["turn_number"] for row in rows if row["turn_number"] is not None]
            spoken: dict[int, Turn] = {}
            if numbers:
                between = {"debate_id": debate_id, "first": numbers[0], "last": numbers[-1]}
                for row in connection.execute(statements.TURNS_BETWEEN, between).mappings():
                    spoken[row["number"]] = turn_of(_as_dict(row))
            return [event_of(row, spoken) for row in rows]

        return await self._database.read(job)

    async def count_events(self, debate_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the number of the newest event of each debate."""

        def job(connection: sa.Connection) -> dict[str, int]:
            rows = connection.execute(statements.EVENT_COUNTS, {"ids": list(debate_ids)})
            return {row[0]: row[1] for row in rows}

        return await self._database.read(job)

    async def list_due(self, now_us: int, limit: int) -> Sequence[tuple[str, Step]]:
        """Returns what is overdue: passed deadlines, and steps whose lease ended."""

        def job(connection: sa.Connection) -> list[tuple[str, Step]]:
            rows = connection.execute(statements.DUE, {"now_us": now_us, "row_limit": limit})
            return [(row[0], Step(row[1])) for row in rows]

        return await self._database.read(job)

    async def list_owned(self, owner: str) -> Sequence[str]:
        """Returns debates whose step this pod has: after a start, the work of the process before it."""

        def job(connection: sa.Connection) -> list[str]:
            return [row[0] for row in connection.execute(statements.OWNED, {"owner": owner})]

        return await self._database.read(job)

    async def renew_leases(self, versions: Mapping[str, int], due_us: int) -> frozenset[str]:
        """Moves the end of leases; returns the debates that have another version: the lease is another replica's."""

        def job(transaction: Transaction) -> frozenset[str]:
            taken = set()
            for debate_id, version in versions.items():
                query = {"debate_id": debate_id, "expected": version, "due_us": due_us}
                if transaction.connection.execute(statements.RENEW, query).rowcount != 1:
                    taken.add(debate_id)
            return frozenset(taken)

        return (await self._database.write(job)).value


def _as_dict(row: Any) -> Mapping[str, Any]:
    """Returns a row as a dict, whose look-ups cost a tenth of RowMapping's."""
    return dict(row)


def _not_found(debate_id: str) -> DebateNotFoundError:
    name = DEBATES.name_of(debate_id)
    return DebateNotFoundError(f"there is no debate {name}", debate=name)
