"""How the agent answers a floor exactly once and a question when asked.

The core: a turn that is stored is published again without a model call, whatever the attempt; a turn that is not is
spoken, and completion, memory and outgoing record are stored in one transaction; the record counts as handled only
when the broker has the answer. A floor that is lost (a newer one, a withdrawal, its deadline) cancels the model call.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import unicodedata
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from mesh.agent.model import Kind, Utterance, seed
from mesh.errors import InvalidQuestionError, InvalidRequestIdError, ModelError, ModelRefusedError, RostrumError
from mesh.llm.port import Limits
from services.debater import prompts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from mesh.agent.model import Floor, HeardTurn, Memory
    from mesh.llm.port import Completion, Message, Model

log = logging.getLogger(__name__)

TRIES = 3
"""Model calls for one floor at most, and for one question."""
MAX_ANSWER_CHARACTERS = 20_000
"""A longer answer is no turn of a debate: the model has lost its way, and the try counts as unusable."""
MAX_QUESTION_CHARACTERS = 2_000
MAX_TURN_TOKENS = 180
"""Room for four sentences in JSON, about 100 words, and no more: small models use all they get."""
MIN_TURN_TOKENS = 40
"""Fewer would cut the first sentence: rather forfeit."""
CHARACTERS_PER_TOKEN = 3
"""On the low side for English (about 4), so that a prompt's cost is not underrated."""
CALL_SECONDS = 90.0
"""A model call that takes longer is given up and tried again, if the deadline allows."""
RETRY_SECONDS = 0.5
"""Wait before asking a model or the moderator again that did not answer."""
FETCH_SHARE = 0.25
"""Share of the time left that fetching missed turns may take; then the agent speaks from what it has."""


REMEMBERED_LOSSES = 10_000
"""Debates whose lost floors are remembered, the latest; what is forgotten costs at most a model call for nothing."""


class Committed(Protocol):
    """A transaction that is stored."""

    @property
    def published(self) -> Awaitable[None]:
        """Resolves when the broker has what the transaction sent."""
        ...


class Store(Protocol):
    """The agent's own store. Methods raise StoreUnavailableError."""

    async def memory(self, debate: str, turn_number: int) -> Memory:
        """Returns what is known of the debate before this turn, and what was said at it."""
        ...

    async def remember(self, debate: str, turns: Sequence[HeardTurn]) -> None:
        """Stores turns that were fetched; known ones stay as they are."""
        ...

    async def speak(self, floor: Floor, utterance: Utterance) -> Committed:
        """Stores the turn and sends it as the answer to the floor, in one transaction.

        If a turn is stored for this place already, that one is sent and nothing else changes.
        """
        ...

    async def answered(self, request_id: str, digest: str) -> Utterance | None:
        """Returns the answer stored for this request; RequestIdReusedError if it was another question."""
        ...

    async def answer(self, utterance: Utterance, request_id: str, digest: str) -> Utterance:
        """Stores an answer; returns it, or the one that another call stored meanwhile for this request."""
        ...

    async def count(self) -> int:
        """Returns the number of utterances."""
        ...

    async def newest(self, limit: int, before: int | None, debate: str) -> Sequence[tuple[int, Utterance]]:
        """Returns utterances, newest first, with their place in the list: those before a place, of one debate."""
        ...


class Record(Protocol):
    """The moderator's record of a debate."""

    async def turns_after(self, debate: str, number: int, timeout_seconds: float) -> Sequence[HeardTurn]:
        """Returns the turns above this number. Raises RostrumError."""
        ...


@dataclass(slots=True)
class Counters:
    """What happened to floors since the process started."""

    spoken: int = 0
    republished: int = 0
    """Stored turns that were sent again without a model call."""
    forfeited: int = 0
    lost: int = 0
    """Floors that were newer, withdrawn or past their deadline before there was an answer."""
    model_calls: int = 0


@dataclass(slots=True)
class _Speaking:
    floor: Floor
    task: asyncio.Task[Utterance]
    lost: bool = False


class Debater:
    """One agent. Used on one event loop."""

    def __init__(self, agent: str, model: Model, store: Store, record: Record) -> None:
        self.agent = agent
        self.model = model
        self.counters = Counters()
        self._store = store
        self._record = record
        self._speaking: dict[str, _Speaking] = {}
        self._lost: dict[str, tuple[int, int]] = {}
        """Debate -> place before which all floors are lost, those that still wait to be handled included."""
        self._asking: dict[str, asyncio.Lock] = {}

    # ---- floors ----

    def lose(self, debate: str, place: tuple[int, int], *, including: bool) -> None:
        """Cancels the model call for a floor of this debate before `place` (or at it, if `including`).

        Called the moment a newer floor or a withdrawal arrives, before its turn to be handled comes.
        """
        turn_number, attempt = place
        bound = (turn_number, attempt + 1) if including else place
        self._lost[debate] = max(bound, self._lost.pop(debate, bound))
        if len(self._lost) > REMEMBERED_LOSSES:
            del self._lost[next(iter(self._lost))]
        speaking = self._speaking.get(debate)
        if speaking is not None and speaking.floor.place < bound:
            speaking.lost = True
            speaking.task.cancel()

    async def take_floor(self, floor: Floor) -> None:
        """Answers a floor; returns once the broker has the answer, or when the floor is lost.

        Raises StoreUnavailableError; then nothing is stored and the floor may be taken again.
        """
        memory = await self._store.memory(floor.debate, floor.turn_number)
        if memory.said is not None:
            committed = await self._store.speak(floor, memory.said)
            self.counters.republished += 1
            await committed.published
            return
        utterance = await self._speak_in_time(floor, memory)
        if utterance is None:
            self.counters.lost += 1
            return
        committed = await self._store.speak(floor, utterance)
        self.counters.spoken += 1
        self.counters.forfeited += utterance.forfeited
        await committed.published

    async def _speak_in_time(self, floor: Floor, memory: Memory) -> Utterance | None:
        """Returns the turn, or None if the floor is lost before it is there."""
        seconds = floor.deadline_us / 1e6 - time.time()
        if seconds <= 0 or floor.place < self._lost.get(floor.debate, (0, 0)):
            return None
        task = asyncio.get_running_loop().create_task(self._speak(floor, memory))
        speaking = self._speaking[floor.debate] = _Speaking(floor, task)
        try:
            async with asyncio.timeout(seconds):
                return await task
        except TimeoutError:
            log.info("the deadline of turn %d of %s passed", floor.turn_number, floor.debate)
            return None
        except asyncio.CancelledError:
            if speaking.lost:
                log.info("the floor of turn %d of %s was lost", floor.turn_number, floor.debate)
                return None
            raise  # this consumer lost the partition, or the process ends
        finally:
            task.cancel()
            if self._speaking.get(floor.debate) is speaking:
                del self._speaking[floor.debate]

    async def _speak(self, floor: Floor, memory: Memory) -> Utterance:
        heard = await self._catch_up(floor, memory)
        own = [turn.text for turn in heard if turn.agent == self.agent and turn.text]
        others = [turn.text for turn in heard if turn.agent != self.agent and turn.text]
        prompt_tokens = completion_tokens = tries = 0
        complaint = reason = ""
        while tries < TRIES:
            messages, schema = prompts.turn(
                topic=floor.topic,
                stance=floor.stance.value,
                question=floor.question,
                round_number=floor.round,
                own=own,
                others=others,
                complaint=complaint,
                plain=tries == TRIES - 1,
            )
            room = floor.allowance_tokens - prompt_tokens - completion_tokens - _estimate(messages)
            if room < MIN_TURN_TOKENS:
                reason = reason or f"the allowance of {floor.allowance_tokens} tokens does not pay for the prompt"
                break
            tries += 1
            limits = Limits(min(MAX_TURN_TOKENS, room), CALL_SECONDS)
            try:
                completion = await self._call(
                    messages, limits, seed(floor.debate, floor.turn_number, "turn", tries), schema
                )
            except ModelError as error:
                reason = error.message
                if error.retriable and tries < TRIES:
                    await asyncio.sleep(RETRY_SECONDS)
                continue
            prompt_tokens += completion.prompt_tokens
            completion_tokens += completion.completion_tokens
            text = _readable(completion, own)
            complaint = _too_long(completion) or prompts.unusable(text, [*own, *others], topic=floor.topic)
            if not complaint:
                return self._utterance(floor, text, completion.model, prompt_tokens, completion_tokens)
            reason = f"no usable answer: {complaint}"
            log.warning("try %d of turn %d of %s: %s", tries, floor.turn_number, floor.debate, complaint)
        forfeit = self._utterance(floor, "", self.model.name, prompt_tokens, completion_tokens)
        return replace(forfeit, forfeit_reason=f"{reason} (model calls: {tries})")

    async def _call(
        self, messages: Sequence[Message], limits: Limits, seed_: int, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        self.counters.model_calls += 1
        return await self.model.complete(messages, limits, schema=schema, seed=seed_)

    async def _catch_up(self, floor: Floor, memory: Memory) -> Sequence[HeardTurn]:
        """Returns the turns before this floor, with those that were missed fetched from the moderator."""
        heard = {turn.number: turn for turn in memory.heard}
        if floor.last_turn is not None:
            heard[floor.last_turn.number] = floor.last_turn
        missing = memory.missing(floor)
        if missing is not None:
            fetched = await self._fetch(floor, missing - 1)
            heard |= {turn.number: turn for turn in fetched if turn.number < floor.turn_number}
        return [heard[number] for number in sorted(heard)]

    async def _fetch(self, floor: Floor, after: int) -> Sequence[HeardTurn]:
        until = time.time() + (floor.deadline_us / 1e6 - time.time()) * FETCH_SHARE
        while (seconds := until - time.time()) > 0:
            try:
                turns = await self._record.turns_after(floor.debate, after, seconds)
            except RostrumError as error:
                log.warning("missed turns of %s are not to be had: %s", floor.debate, error.message)
                await asyncio.sleep(min(RETRY_SECONDS, max(0.0, seconds)))
            else:
                await self._store.remember(floor.debate, turns)
                return turns
        return ()

    def _utterance(self, floor: Floor, text: str, model: str, prompt_tokens: int, completion_tokens: int) -> Utterance:
        return Utterance(
            id=uuid.uuid4().hex,
            kind=Kind.TURN,
            debate=floor.debate,
            turn_number=floor.turn_number,
            round=floor.round,
            question=floor.question,
            text=text,
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            create_time_us=time.time_ns() // 1000,
        )

    # ---- memory ----

    async def count(self) -> int:
        """Returns the number of things it said."""
        return await self._store.count()

    async def newest(self, limit: int, before: int | None, debate: str) -> Sequence[tuple[int, Utterance]]:
        """Returns what it said, newest first, each with its place: below place `before`, of `debate`, if given."""
        return await self._store.newest(limit, before, debate)

    # ---- questions ----

    async def ask(self, question: str, request_id: str) -> Utterance:
        """Answers a question and stores the answer; the same request_id returns the stored one.

        Raises InvalidQuestionError, InvalidRequestIdError, RequestIdReusedError, ModelUnavailableError,
        ModelRefusedError and StoreUnavailableError.
        """
        question = question.strip()
        check_question(question)
        check_request_id(request_id)
        if not request_id:
            return await self._answer(question, "", "")
        digest = hashlib.sha256(question.encode()).hexdigest()
        lock = self._asking.setdefault(request_id, asyncio.Lock())
        try:
            async with lock:
                stored = await self._store.answered(request_id, digest)
                return stored or await self._answer(question, request_id, digest)
        finally:
            if not lock.locked():
                self._asking.pop(request_id, None)

    async def _answer(self, question: str, request_id: str, digest: str) -> Utterance:
        identity = uuid.uuid4().hex
        prompt_tokens = completion_tokens = 0
        messages = prompts.ask(agent=self.agent, question=question)
        for attempt in range(1, TRIES + 1):
            seed_ = seed(request_id or identity, 0, "ask", attempt)
            completion = await self._call(messages, Limits(MAX_TURN_TOKENS, CALL_SECONDS), seed_)
            prompt_tokens += completion.prompt_tokens
            completion_tokens += completion.completion_tokens
            text = _readable(completion)
            if text:
                utterance = Utterance(
                    id=identity,
                    kind=Kind.ANSWER,
                    debate="",
                    turn_number=0,
                    round=0,
                    question=question,
                    text=text,
                    model=completion.model,
                    prompt_tokens=prompt_tokens,
                    completion_tokens=completion_tokens,
                    create_time_us=time.time_ns() // 1000,
                )
                return await self._store.answer(utterance, request_id, digest)
        message = f"the model {self.model.name} gave no usable answer in {TRIES} tries; ask again or use another model"
        raise ModelRefusedError(message, model=self.model.name)


def check_question(question: str) -> None:
    """Raises InvalidQuestionError for an empty or over-long question, or one with control characters."""
    if not question or len(question) > MAX_QUESTION_CHARACTERS:
        message = f"the question must have 1 to {MAX_QUESTION_CHARACTERS} characters, not {len(question)}"
        raise InvalidQuestionError(message, field="question", limit=str(MAX_QUESTION_CHARACTERS))
    if any(unicodedata.category(character) == "Cc" and character not in "\n\r\t" for character in question):
        message = "the question has control characters; take them out"
        raise InvalidQuestionError(message, field="question")


def check_request_id(request_id: str) -> None:
    """Raises InvalidRequestIdError unless it is empty or 1 to 128 printable ASCII characters."""
    if len(request_id) > 128 or not all(" " <= character <= "~" for character in request_id):
        message = "request_id must be at most 128 printable ASCII characters"
        raise InvalidRequestIdError(message, field="request_id", limit="128")


def _too_long(completion: Completion) -> str:
    length = len(completion.text)
    return f"it had {length:,} characters" if length > MAX_ANSWER_CHARACTERS else ""


def _readable(completion: Completion, heard: Sequence[str] = ()) -> str:
    """Returns the answer as it may be said; empty if it is far too long, which tidying would only hide."""
    if _too_long(completion):
        return ""
    return prompts.tidy(completion.text, cut=completion.finish_reason == "length", heard=heard)


def _estimate(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages) // CHARACTERS_PER_TOKEN
