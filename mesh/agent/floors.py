"""How an agent answers each floor exactly once, in time, whatever it says.

The core: a turn that is stored is published again without a model call, whatever the attempt; a turn that is not is
spoken, and completion, memory and outgoing record are stored in one transaction; the record counts as handled only
when the broker has the answer. A floor that is revoked (by a newer one, a withdrawal, its deadline) cancels the
speaker's work on it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mesh.agent.errors import ForfeitError
from mesh.agent.metered_model import MeteredModel, turn_place
from mesh.agent.model import Cost, Kind, Speech, Utterance, Withdrawal
from mesh.agent.notes import StoredNotes
from mesh.agent.ports import FloorContext
from mesh.errors import BrokerUnavailableError, StoreUnavailableError
from mesh.language.text import clean_text
from mesh.retries import MAX_WHY_CHARACTERS, describe_error

if TYPE_CHECKING:
    from mesh.agent.catching_up import CatchingUp
    from mesh.agent.drafts import Drafts, FloorDraft
    from mesh.agent.model import Counters, Floor, Memory
    from mesh.agent.ports import Speaker, Store
    from mesh.clock import Clock
    from mesh.llm.port import Model

T = TypeVar("T")

log = logging.getLogger(__name__)

REMEMBERED_CONVERSATIONS = 10_000
"""Of each kind of memory (revoked floors, unstored turns, faults) the latest; what is forgotten costs at most a turn's
model calls once more."""

MAX_FAULTS = 3
"""Times that a speaker may raise for one turn; then the turn is forfeited with the error as its reason. Fewer than the
bus tries a record: each may have paid for model calls, and a debate need not wait for its deadlines."""


@dataclass(frozen=True, slots=True)
class _Faults:
    """What a speaker has raised at one turn."""

    turn_number: int
    number: int
    cost: Cost
    """Of the calls of all tries, but for those that notes were made by."""


@dataclass(slots=True)
class _Speaking:
    floor: Floor
    task: asyncio.Task[Utterance]
    revoked: bool = False


class Floors:
    """The floors of one agent. Used on one event loop."""

    def __init__(
        self,
        *,
        speaker: Speaker,
        model: Model,
        store: Store,
        catching_up: CatchingUp,
        clock: Clock,
        counters: Counters,
        drafts: Drafts,
    ) -> None:
        self._speaker = speaker
        self._model = model
        self._store = store
        self._catching_up = catching_up
        self._clock = clock
        self._counters = counters
        self._drafts = drafts
        self._speaking: dict[str, _Speaking] = {}
        self._faults: dict[str, _Faults] = {}
        self._unstored: dict[str, Utterance] = {}
        """Conversation -> the turn that the store did not take: it is paid for, and stored when the store is back."""
        self._revoked: dict[str, tuple[int, int]] = {}
        """Conversation -> place before which all floors are revoked, those that still wait to be handled included."""

    def revoke(self, conversation: str, place: tuple[int, int], *, including: bool) -> None:
        """Cancels the work on a floor of this conversation before `place` (or at it, if `including`).

        Called the moment a newer floor or a withdrawal arrives, before its turn to be handled comes.
        """
        turn_number, attempt = place
        bound = (turn_number, attempt + 1) if including else place
        _remember(self._revoked, conversation, max(bound, self._revoked.get(conversation, bound)))
        speaking = self._speaking.get(conversation)
        if speaking is not None and speaking.floor.place < bound:
            speaking.revoked = True
            speaking.task.cancel()

    async def take_floor(self, floor: Floor) -> None:
        """Answers a floor; returns once the broker has the answer, or when the floor is revoked.

        Raises StoreUnavailableError; then nothing is stored and the floor may be taken again.
        """
        memory = await self._store.load_memory(floor.conversation, floor.turn_number)
        spoken = memory.utterance or self._find_unstored(floor)
        if spoken is not None:
            committed = await self._store.record_turn(floor, spoken)
            self._unstored.pop(floor.conversation, None)
            self._counters.republished += 1
            await committed.published
            return
        with self._drafts.open(floor) as draft:
            utterance = await self._speak_in_time(floor, memory, draft)
            if utterance is None:
                self._counters.revoked += 1
                return
            try:
                committed = await self._store.record_turn(floor, utterance)
            except StoreUnavailableError:
                _remember(self._unstored, floor.conversation, utterance)
                raise
            draft.commit(utterance.text)
        self._counters.spoken += 1
        self._counters.forfeited += utterance.forfeited
        await committed.published

    async def _speak_in_time(self, floor: Floor, memory: Memory, draft: FloorDraft) -> Utterance | None:
        """Returns the turn, or None if the floor is revoked before it is there; then the draft is withdrawn."""
        seconds = (floor.deadline_us - self._clock.now_us()) / 1e6
        if floor.place < self._revoked.get(floor.conversation, (0, 0)):
            draft.withdraw(Withdrawal.REVOKED)
            return None
        if seconds <= 0:
            draft.withdraw(Withdrawal.DEADLINE_PASSED)
            return None
        task = asyncio.get_running_loop().create_task(self._speak(floor, memory, draft))
        speaking = self._speaking[floor.conversation] = _Speaking(floor, task)
        try:
            async with asyncio.timeout(seconds):
                return await task
        except TimeoutError:
            log.info("the deadline of turn %d of %s passed", floor.turn_number, floor.conversation)
            draft.withdraw(Withdrawal.DEADLINE_PASSED)
            return None
        except asyncio.CancelledError:
            if speaking.revoked:
                log.info("the floor of turn %d of %s was revoked", floor.turn_number, floor.conversation)
                draft.withdraw(Withdrawal.REVOKED)
                return None
            raise  # this consumer lost the partition, or the process ends
        finally:
            task.cancel()
            if self._speaking.get(floor.conversation) is speaking:
                del self._speaking[floor.conversation]

    async def _speak(self, floor: Floor, memory: Memory, draft: FloorDraft) -> Utterance:
        turns = await self._catching_up.load_turns(floor, memory)
        model = MeteredModel(self._model, self._counters, turn_place(floor.conversation, floor.turn_number))
        faults = self._faults.get(floor.conversation)
        if faults is not None and faults.turn_number == floor.turn_number:
            model.charge(faults.cost)  # other seeds, too: the same answer would fail the same way
        notes = StoredNotes(self._store, floor, model, self._clock)
        reason = ""
        try:
            speech = await self._speaker.speak(FloorContext(floor, turns, model, notes, draft))
        except ForfeitError as error:
            speech, reason = Speech("", model.name), error.reason
        except (StoreUnavailableError, BrokerUnavailableError):
            raise  # says nothing against the speaker: the bus waits
        except Exception as error:
            if self._note_fault(floor, notes.rest) < MAX_FAULTS:
                raise
            log.exception("the speaker failed for good at turn %d of %s", floor.turn_number, floor.conversation)
            speech, reason = (
                Speech("", model.name),
                f"a fault of the agent's own: {describe_error(error)[:MAX_WHY_CHARACTERS]}",
            )
        self._faults.pop(floor.conversation, None)
        text = clean_text(speech.text)
        if not text:
            reason = f"{reason or 'the agent said nothing'} (model calls: {model.calls})"
        return Utterance(
            id=uuid.uuid4().hex,
            kind=Kind.TURN,
            conversation=floor.conversation,
            turn_number=floor.turn_number,
            round=floor.round,
            question=floor.question,
            text=text,
            model=speech.model,
            prompt_tokens=model.prompt_tokens,
            completion_tokens=model.completion_tokens,
            create_time_us=self._clock.now_us(),
            forfeit_reason=reason,
        )

    def _find_unstored(self, floor: Floor) -> Utterance | None:
        unstored = self._unstored.get(floor.conversation)
        return unstored if unstored is not None and unstored.turn_number == floor.turn_number else None

    def _note_fault(self, floor: Floor, cost: Cost) -> int:
        """Counts a fault of the speaker at this turn, and what this try has cost; returns how many there were."""
        before = self._faults.get(floor.conversation)
        if before is None or before.turn_number != floor.turn_number:
            before = _Faults(floor.turn_number, 0, Cost(0, 0, 0))
        number = before.number + 1
        _remember(self._faults, floor.conversation, _Faults(floor.turn_number, number, before.cost + cost))
        return number


def _remember(memory: dict[str, T], conversation: str, value: T) -> None:
    """Keeps a value as the latest one; of too many the oldest goes."""
    memory.pop(conversation, None)
    memory[conversation] = value
    if len(memory) > REMEMBERED_CONVERSATIONS:
        del memory[next(iter(memory))]
