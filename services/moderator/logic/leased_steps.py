"""The steps that the moderator does itself: a question for each round, the measure of a round, summary and verdict.

Each is done under a lease: begun by the replica whose commit made it due, taken over by another when that one dies,
and stored by compare-and-set, so that it takes effect once. A model that fails its bounded tries never
stops a debate: a plain question, no opinion, no verdict. No transaction is open while a model is called.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from mesh.errors import ModelError, ModelUnavailableError, StoreUnavailableError
from mesh.llm.port import Limits, seed_for
from services.moderator import prompts
from services.moderator.model import rules
from services.moderator.model.change import Change
from services.moderator.model.debate import LEASED_STEPS, Debate, Step
from services.moderator.model.measure import Opinion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.clock import Clock
    from mesh.llm.port import Completion, Message, Model
    from services.moderator.logic.ports import Store
    from services.moderator.logic.watching import Wakeups
    from services.moderator.model.measure import Measure
    from services.moderator.model.turn import Turn

_log = logging.getLogger(__name__)

# Times a model is asked for the same thing, and seconds before asking again.
TRIES = 3
BACKOFF_SECONDS = (0.5, 2.0)
# Time: a small model on two busy cores reads a long prompt at some 50 tokens/s.
QUESTION_LIMITS = Limits(max_tokens=60, timeout_seconds=60)
OPINION_LIMITS = Limits(max_tokens=120, timeout_seconds=30)
CLOSING_LIMITS = Limits(max_tokens=450, timeout_seconds=180)
MAX_QUESTION_CHARACTERS = 300
# The model is asked for its opinion where the measure is this near to the threshold; elsewhere it could only agree.
NEAR_THRESHOLD = 0.15


class Measurer(Protocol):
    """Measures how much of a round is new; `measure` raises ModelError when the embedding model fails."""

    async def measure(self, debate: Debate, turns: Sequence[Turn]) -> Measure:
        """Measures the newest round of these turns, which are all of the debate."""
        ...


class LeasedSteps:
    """Does the leased steps of this replica, one task a debate."""

    def __init__(
        self, *, store: Store, model: Model, measurer: Measurer, wakeups: Wakeups, clock: Clock, pod: str
    ) -> None:
        self._store = store
        self._model = model
        self._measurer = measurer
        self._wakeups = wakeups
        self._clock = clock
        self._pod = pod
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._versions: dict[str, int] = {}
        self._renewed_us = 0

    def has(self, debate_id: str) -> bool:
        """Says whether a step of this debate is under way here."""
        return debate_id in self._tasks

    def begin(self, debate: Debate) -> None:
        """Starts what the debate waits for, if it is a step of ours and not under way."""
        if debate.step not in LEASED_STEPS or debate.owner != self._pod or debate.id in self._tasks:
            return
        self._versions[debate.id] = debate.version
        task = asyncio.create_task(self._run(debate), name=f"steps of {debate.name}")
        self._tasks[debate.id] = task

    def abandon(self, debate_id: str) -> None:
        """Cancels the step of this debate, its model call included."""
        task = self._tasks.get(debate_id)
        if task is not None:
            task.cancel()

    async def renew_leases(self) -> None:
        """Prolongs the leases of steps under way, every third of their length; ends those that another replica has."""
        now = self._clock.now_us()
        if not self._versions or now - self._renewed_us < rules.LEASE_US // 3:
            return
        self._renewed_us = now
        held = dict(self._versions)
        for debate_id in await self._store.renew_leases(held, now + rules.LEASE_US):
            if self._versions.get(debate_id) == held[debate_id]:  # it did not just go on by itself
                self.abandon(debate_id)

    async def aclose(self) -> None:
        """Cancels all; another process takes over. Idempotent."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, debate: Debate) -> None:
        try:
            while debate.step in LEASED_STEPS and debate.owner == self._pod:
                self._versions[debate.id] = debate.version
                change = await self._perform(debate)
                if change is None:
                    return  # the debate went on without us: cancelled, or another replica was faster
                debate = change.debate
                if debate.step not in LEASED_STEPS:
                    # Before anybody is woken, so that what comes next finds no step under way.
                    self._forget(debate.id)
                self._wakeups.notify(debate.id, debate.event_count, change.events)
        except StoreUnavailableError as error:
            _log.warning("a leased step waits for its lease to end: %s", error, extra={"debate": debate.id})
        except Exception:  # noqa: BLE001 - a fault of ours must not end the debate
            _log.exception("a leased step failed; it is begun again when its lease ends", extra={"debate": debate.id})
        finally:
            if self._tasks.get(debate.id) is asyncio.current_task():
                self._forget(debate.id)

    def _forget(self, debate_id: str) -> None:
        self._tasks.pop(debate_id, None)
        self._versions.pop(debate_id, None)

    async def _perform(self, debate: Debate) -> Change | None:
        if debate.step is Step.MEASURE:
            return await self._measure(debate)
        if debate.step is Step.OPEN_ROUND:
            turns = await self._store.list_all_turns(debate)
            question, tokens = await self._ask_question(debate, turns)
            return await self._apply(debate, lambda now: rules.open_round(debate, question, tokens, now))
        return await self._close(debate)

    async def _apply(self, debate: Debate, decide: Callable[[int], Change | None]) -> Change | None:
        """Stores the change if the debate still is as it was when the step began."""
        return await self._store.change(
            debate.id, lambda stored, now: decide(now) if stored.version == debate.version else None
        )

    # ---- the measure, and the question after it ----

    async def _measure(self, debate: Debate) -> Change | None:
        """Measures the round and, if the debate goes on, asks the next question: one transaction for both."""
        turns = await self._store.list_all_turns(debate)
        measure, tokens = await self._measure_round(debate, turns)
        after = rules.record_measure(debate, measure, tokens, self._pod, self._clock.now_us())
        if after is None:
            return None
        if after.debate.step is not Step.OPEN_ROUND or tokens:
            # Nothing more to ask, or an opinion was paid for: store it first.
            return await self._apply(debate, lambda now: rules.record_measure(debate, measure, tokens, self._pod, now))
        question, question_tokens = await self._ask_question(after.debate, turns)

        def decide(now: int) -> Change | None:
            first = rules.record_measure(debate, measure, tokens, self._pod, now)
            then = first and rules.open_round(first.debate, question, question_tokens, now)
            return rules.merge(first, then) if first and then else None

        return await self._apply(debate, decide)

    async def _measure_round(self, debate: Debate, turns: Sequence[Turn]) -> tuple[Measure | None, int]:
        """Returns the measure and the tokens that the opinion cost; None if there is no embedding model now."""
        for attempt in range(TRIES):
            try:
                measure = await self._measurer.measure(debate, turns)
                break
            except ModelError as error:
                _log.warning("the round is not measured: %s", error, extra={"debate": debate.id})
                if attempt + 1 < TRIES:
                    await asyncio.sleep(BACKOFF_SECONDS[attempt])
        else:
            return None, 0
        near = abs(measure.redundancy - debate.settings.redundant_share) <= NEAR_THRESHOLD
        if measure.round == 1 or not measure.sentences or not near or not rules.may_ask(debate):
            return measure, 0
        opinion, tokens = await self._ask_opinion(debate, turns)
        return replace(measure, opinion=opinion), tokens

    async def _ask_opinion(self, debate: Debate, turns: Sequence[Turn]) -> tuple[Opinion | None, int]:
        this = [turn for turn in turns if turn.round == debate.round]
        earlier = [turn for turn in turns if turn.round < debate.round]
        messages, schema = prompts.redundancy_opinion(debate.topic, this, earlier)
        try:
            completion = await self._model.complete(
                messages, OPINION_LIMITS, schema=schema, seed=seed_of(debate, "opinion")
            )
        except ModelError as error:
            _log.info("no opinion: %s", error, extra={"debate": debate.id})
            return None, 0
        answer = _json_object(completion.text)
        redundant, reason = answer.get("redundant"), answer.get("reason")
        fits = isinstance(redundant, bool) and isinstance(reason, str)
        opinion = Opinion(bool(redundant), str(reason).strip()[:1000]) if fits else None
        return opinion, completion.prompt_tokens + completion.completion_tokens

    async def _ask_question(self, debate: Debate, turns: Sequence[Turn]) -> tuple[str, int]:
        """Returns the question for the next round and the tokens it cost."""
        number = debate.round + 1
        tokens = 0
        if rules.may_ask(debate):
            asked = {turn.question for turn in turns}
            messages = prompts.round_question(debate.topic, number, debate.max_rounds, turns)
            for attempt in range(TRIES):
                completion = await self._ask_model(debate, "question", attempt, messages, QUESTION_LIMITS)
                if completion is not None:
                    tokens += completion.prompt_tokens + completion.completion_tokens
                    question = extract_question(completion.text)
                    if question and question not in asked:
                        return question, tokens
                    if not rules.may_ask(replace(debate, tokens_spent=debate.tokens_spent + tokens)):
                        break
        return prompts.plain_question(debate.topic, number), tokens

    # ---- the end ----

    async def _close(self, debate: Debate) -> Change | None:
        turns = await self._store.list_all_turns(debate)
        summary, verdict, tokens = "", "", 0
        if any(turn.text for turn in turns):
            summary, verdict, tokens = await self._write_closing(debate, turns)
        return await self._apply(debate, lambda now: rules.close(debate, summary, verdict, tokens, now))

    async def _write_closing(self, debate: Debate, turns: Sequence[Turn]) -> tuple[str, str, int]:
        messages, schema = prompts.closing(debate.topic, debate.seats, turns)
        reserve = rules.verdict_reserve(debate.token_budget)
        limits = replace(CLOSING_LIMITS, max_tokens=min(CLOSING_LIMITS.max_tokens, reserve // 2))
        tokens = 0
        for attempt in range(TRIES):
            completion = await self._ask_model(debate, "closing", attempt, messages, limits, schema)
            if completion is None:
                continue
            tokens += completion.prompt_tokens + completion.completion_tokens
            answer = _json_object(completion.text)
            summary, verdict = answer.get("summary"), answer.get("verdict")
            if isinstance(summary, str) and isinstance(verdict, str) and summary.strip() and verdict.strip():
                return drop_half_sentence(summary), drop_half_sentence(verdict), tokens
            if tokens >= reserve:
                break
        spoken = sum(bool(turn.text) for turn in turns)
        return (
            f"{spoken} turns were heard; the moderator's model gave no usable summary of them.",
            "No verdict: the moderator's model gave no usable answer.",
            tokens,
        )

    async def _ask_model(  # noqa: PLR0917 - what a call is about, in the order of its story
        self,
        debate: Debate,
        purpose: str,
        attempt: int,
        messages: Sequence[Message],
        limits: Limits,
        schema: Mapping[str, Any] | None = None,
    ) -> Completion | None:
        """Asks the model once; None if it fails, after a pause if it may be there again by then."""
        try:
            return await self._model.complete(messages, limits, schema=schema, seed=seed_of(debate, purpose, attempt))
        except ModelError as error:
            _log.warning("%s, try %d: %s", purpose, attempt + 1, error, extra={"debate": debate.id})
            if isinstance(error, ModelUnavailableError) and attempt + 1 < TRIES:
                await asyncio.sleep(BACKOFF_SECONDS[attempt])
            return None


def drop_half_sentence(text: str) -> str:
    """Returns a text that was cut at its limit without the half sentence at its end."""
    text = text.strip()
    end = max(text.rfind(mark) for mark in ".!?")
    return text if text.endswith((".", "!", "?", '"', "”")) or end < len(text) // 2 else text[: end + 1]


def seed_of(debate: Debate, purpose: str, attempt: int = 0) -> int:
    """Returns the seed of a call: the same for the same debate, place and purpose, so that a repeat shows."""
    place = f"{debate.name}/{debate.turn_count + 1}/{purpose}"
    return (seed_for(place) + attempt) % 2**31


def extract_question(text: str) -> str:
    """Returns the question in a model's answer, on one line; empty if there is none."""
    found = re.search(r"[^.!?:\"“”]*\?", " ".join(text.replace("*", "").split()))
    question = found.group().strip(" -–'") if found else ""
    question = re.sub(r"^(?:round \d+|question)\W+", "", question, flags=re.IGNORECASE)
    return question[:1].upper() + question[1:] if 1 < len(question) <= MAX_QUESTION_CHARACTERS else ""


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
