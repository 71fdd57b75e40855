"""The steps that the moderator does itself: a question for each round, the measure of a round, summary and verdict.

Each is done under a lease: begun by the replica whose commit made it due, taken over by another when that one dies,
and stored by compare-and-set, so that it takes effect once. A model that fails its bounded tries never stops a debate,
and a step that fails is begun only so often (`rules.claim`). No transaction is open while a model is called. What is
asked is in `logic.opening`, `logic.measuring` and `logic.closing`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from mesh.errors import ModelError, StoreUnavailableError
from services.moderator import prompts
from services.moderator.answers import read_opinion
from services.moderator.logic.asking import BACKOFF_SECONDS, TRIES, Asking, prompt_room
from services.moderator.logic.closing import Closer
from services.moderator.logic.opening import Opener
from services.moderator.model import rules
from services.moderator.model.debate import LEASED_STEPS, Debate, Step
from services.moderator.model.judgement import Absence
from services.moderator.model.measure import NOBODY_SPOKE, no_measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.clock import Clock
    from mesh.llm.port import Model
    from services.moderator.logic.asking import Outcome
    from services.moderator.logic.ports import Store
    from services.moderator.logic.watching import Wakeups
    from services.moderator.model.change import Change
    from services.moderator.model.measure import Measure, Opinion
    from services.moderator.model.turn import Turn

_log = logging.getLogger(__name__)

# The model is asked for its opinion where the measure is this near to the threshold; elsewhere it could only agree.
NEAR_THRESHOLD = 0.15
# What an opinion is worth: tokens of turns that it reads. Longer debates are shortened evenly for it.
MAX_OPINION_ROOM_TOKENS = 4_000


class Measurer(Protocol):
    """Measures how much of a round is new; `measure` raises ModelError when the embedding model fails."""

    async def measure(self, debate: Debate, turns: Sequence[Turn]) -> Measure:
        """Measures the newest round of these turns, which are all of the debate."""
        ...


class LeasedSteps:
    """Does the leased steps of this replica, one task a debate."""

    def __init__(
        self,
        *,
        store: Store,
        model: Model,
        measurer: Measurer,
        wakeups: Wakeups,
        clock: Clock,
        pod: str,
        count_failure: Callable[[str], None] = lambda _part: None,
    ) -> None:
        """`count_failure` is called when a step failed that is begun again."""
        self._count_failure = count_failure
        self._store = store
        self._asking = Asking(model)
        self._opener = Opener(self._asking)
        self._closer = Closer(self._asking, pod)
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
            self._count_failure("leased step")
            _log.exception("a leased step failed; it is begun again when its lease ends", extra={"debate": debate.id})
        finally:
            if self._tasks.get(debate.id) is asyncio.current_task():
                self._forget(debate.id)

    def _forget(self, debate_id: str) -> None:
        self._tasks.pop(debate_id, None)
        self._versions.pop(debate_id, None)

    async def _perform(self, debate: Debate) -> Change | None:
        turns = await self._store.list_all_turns(debate)
        if debate.step is Step.MEASURE:
            return await self._measure(debate, turns)
        if debate.step is Step.OPEN_ROUND:
            opening = await self._opener.find_question(debate, turns)
            return await self._apply(
                debate, lambda now: rules.open_round(debate, opening.question, opening.tokens, now, opening.planned)
            )
        return await self._apply(debate, await self._closer.advance(debate, turns))

    async def _apply(self, debate: Debate, decide: Callable[[int], Change | None]) -> Change | None:
        """Stores the change if the debate still is as it was when the step began."""
        return await self._store.change(
            debate.id, lambda stored, now: decide(now) if stored.version == debate.version else None
        )

    # ---- the measure, and the question after it ----

    async def _measure(self, debate: Debate, turns: Sequence[Turn]) -> Change | None:
        """Measures the round and, if the debate goes on, finds the next question: one transaction for both."""
        if not any(turn.text for turn in turns if turn.round == debate.round):
            presence = await self._asking.check_presence(debate)
            if presence.absence is Absence.MODEL_FAILED:
                error = presence.error
                return await self._apply(
                    debate, lambda now: rules.stop_without_model(debate, error, presence.tokens, self._pod, now)
                )
            measure, tokens = no_measure(debate.round, NOBODY_SPOKE), presence.tokens
        else:
            measure, tokens = await self._measure_round(debate, turns)
        after = rules.record_measure(debate, measure, tokens, self._pod, self._clock.now_us())
        if after is None:
            return None
        if after.debate.step is not Step.OPEN_ROUND or tokens:
            # Nothing more to ask, or an answer was paid for: store it first.
            return await self._apply(debate, lambda now: rules.record_measure(debate, measure, tokens, self._pod, now))
        opening = await self._opener.find_question(after.debate, turns)

        def decide(now: int) -> Change | None:
            first = rules.record_measure(debate, measure, tokens, self._pod, now)
            if first is None:
                return None
            then = rules.open_round(first.debate, opening.question, opening.tokens, now, opening.planned)
            return rules.merge(first, then) if then is not None else None

        return await self._apply(debate, decide)

    async def _measure_round(self, debate: Debate, turns: Sequence[Turn]) -> tuple[Measure, int]:
        """Returns the measure and the tokens that the opinion cost; no measure if there is no embedding model now."""
        why = ""
        for attempt in range(TRIES):
            try:
                measure = await self._measurer.measure(debate, turns)
                break
            except ModelError as error:
                why = error.message
                _log.warning("the round is not measured: %s", error, extra={"debate": debate.id})
                if attempt + 1 < TRIES:
                    await asyncio.sleep(BACKOFF_SECONDS[attempt])
        else:
            return no_measure(debate.round, why), 0
        near = abs(measure.redundancy - debate.settings.redundant_share) <= NEAR_THRESHOLD
        if measure.round == 1 or not measure.sentences or not near:
            return measure, 0
        opinion = await self._ask_opinion(debate, turns)
        return replace(measure, opinion=opinion.value), opinion.tokens

    async def _ask_opinion(self, debate: Debate, turns: Sequence[Turn]) -> Outcome[Opinion]:
        profile = await self._asking.load_profile()
        budget = rules.question_budget(debate)
        room = min(prompt_room(profile, prompts.OPINION_TOKENS), MAX_OPINION_ROOM_TOKENS, budget // 2)
        return await self._asking.ask(
            debate,
            "opinion",
            lambda _attempt, fault: prompts.compose_opinion(debate, turns, room, guided=profile.guided, fault=fault),
            lambda completion: read_opinion(completion.text),
            budget=budget,
            tries=2,
        )
