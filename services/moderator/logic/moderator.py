"""The moderator's use cases: create, read, watch and cancel debates, record turns, and see to what is overdue.

Decisions are pure functions of `model.rules`; here they meet the store, the clock and the steps that the moderator does
itself (`logic.leased_steps`). Callers: `api` for people, `events` for agents, and the timer that `run_timers` is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mesh.errors import StoreUnavailableError, UnknownAgentError
from mesh.language.tags import detect_language
from mesh.retries import Backoff, Retries, describe_error
from services.moderator.errors import DebateNotFoundError, EventNotYetError
from services.moderator.logic.checks import check_after_number, check_cancel_reason, check_debate
from services.moderator.model import rules
from services.moderator.model.change import Change, Ended
from services.moderator.model.debate import State, Step
from services.moderator.model.turn import Ignored

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from mesh.clock import Clock
    from services.moderator.logic.checks import AskedDebate
    from services.moderator.logic.leased_steps import LeasedSteps
    from services.moderator.logic.ports import Observer, Store
    from services.moderator.logic.watching import Wakeups
    from services.moderator.model.change import Event
    from services.moderator.model.debate import Debate, Seat
    from services.moderator.model.turn import SubmittedTurn, Turn

_log = logging.getLogger(__name__)

# Between two looks for passed deadlines; a floor may outlive its deadline by so much. The shortest deadline that a
# debate may have is as long.
POLL_INTERVAL_SECONDS = 0.1
# What one look takes; the rest is taken by the next.
DUE_LIMIT = 200
# Between two looks that failed, and between two looks at one debate that cannot be seen to.
BACKOFF = Backoff(0.5, 60.0)
# Events that a watcher reads at once.
WATCH_PAGE = 200


@dataclass(slots=True)
class _Stuck:
    """A debate that is due and cannot be seen to, such as one that another version stored."""

    retries: Retries
    due_us: int = 0


class Moderator:
    """All that the moderator does, for one replica."""

    def __init__(
        self,
        *,
        store: Store,
        steps: LeasedSteps,
        wakeups: Wakeups,
        observer: Observer,
        clock: Clock,
        agent_exists: Callable[[str], Awaitable[bool]],
        default_seats: Sequence[Seat],
        pod: str,
    ) -> None:
        self._store = store
        self._steps = steps
        self._wakeups = wakeups
        self._clock = clock
        self._observer = observer
        self._agent_exists = agent_exists
        self._default_seats = tuple(default_seats)
        self._pod = pod
        self._timer_retries = self._make_retries("deadlines")
        self._stuck: dict[str, _Stuck] = {}

    def _make_retries(self, part: str) -> Retries:
        return Retries(part, BACKOFF, count=self._observer.count_failure)

    # ---- for people ----

    async def create(self, asked: AskedDebate) -> Debate:
        """Stores a debate and returns at once. Raises InvalidArgumentError, UnknownAgentError, RequestIdReusedError.

        The first floor is not granted in the same transaction: it carries the question of round one, which is a model
        call, and no transaction is open while a model is called. What is stored with the debate is that this question
        is due, as a leased step of this pod, so a crash right after the commit loses nothing. Without a language the
        debate gets its topic's.
        """
        new = check_debate(asked, self._default_seats, self._observer.traceparent())
        for seat in new.seats:
            if not await self._agent_exists(seat.agent):
                message = f"there is no agent {seat.agent} in this deployment"
                raise UnknownAgentError(message, agent=seat.agent)
        if not new.language:
            new = replace(new, language=await asyncio.to_thread(detect_language, new.topic))
        change = rules.create(secrets.token_hex(8), new, self._pod, self._clock.now_us())
        change = await self._store.create(change, new.request_id, new.digest)
        if change.events:  # else an earlier call with this request_id made it
            self._after_commit(change)
        return change.debate

    async def get(self, debate_id: str) -> Debate:
        """Returns the debate as it is now. Raises DebateNotFoundError."""
        return await self._store.get(debate_id)

    async def list_debates(self, limit: int, older_than: tuple[int, str] | None) -> Sequence[Debate]:
        """Returns debates, newest first, below (create_time_us, id)."""
        return await self._store.list_debates(limit, older_than)

    async def list_turns(self, debate_id: str, after_number: int, limit: int) -> Sequence[Turn]:
        """Returns turns above a number. Raises DebateNotFoundError, InvalidArgumentError."""
        check_after_number(after_number)
        turns = await self._store.list_turns(debate_id, after_number, limit)
        if not turns:
            await self._store.get(debate_id)
        return turns

    async def list_events(self, debate_id: str, after_number: int, limit: int) -> Sequence[Event]:
        """Returns events above a number. Raises DebateNotFoundError, InvalidArgumentError."""
        check_after_number(after_number)
        events = await self._store.list_events(debate_id, after_number, limit)
        if not events:
            await self._store.get(debate_id)
        return events

    async def watch(self, debate_id: str, after_number: int) -> AsyncGenerator[Event, None]:
        """Yields all events above a number as they come, without a gap, and ends after the last of an ended debate.

        Raises DebateNotFoundError, EventNotYetError, InvalidArgumentError.
        """
        check_after_number(after_number)
        debate = await self._store.get(debate_id)
        if after_number > debate.event_count:
            message = f"{debate.name} has no event {after_number} yet; its newest is {debate.event_count}"
            raise EventNotYetError(message, after_number=str(after_number), newest=str(debate.event_count))
        if debate.state is State.ENDED and after_number == debate.event_count:
            return
        position = after_number
        with self._wakeups.watch(debate_id) as watched:
            while True:
                events: Sequence[Event] = watched.events_after(position)
                if not events:
                    events = await self._store.list_events(debate_id, position, WATCH_PAGE)
                for event in events:
                    yield event
                    position = event.number
                    if isinstance(event.kind, Ended):
                        return
                if len(events) < WATCH_PAGE:
                    await watched.wait(position)

    async def cancel(self, debate_id: str, reason: str) -> Debate:
        """Ends a running debate at once; one that has ended is returned as it is.

        Raises DebateNotFoundError, InvalidArgumentError.
        """
        check_cancel_reason(reason)
        answer = await self._store.change(
            debate_id, lambda debate, now: rules.cancel(debate, reason.strip(), now) or debate
        )
        if not isinstance(answer, Change):
            return answer
        self._steps.abandon(debate_id)
        self._after_commit(answer)
        return answer.debate

    # ---- for agents ----

    async def record_turn(self, submitted: SubmittedTurn) -> Ignored | None:
        """Records the turn if it fits the floor; returns why it changed nothing otherwise.

        Raises DebateNotFoundError, StoreUnavailableError.
        """
        answer = await self._store.change(
            submitted.debate_id, lambda debate, now: rules.record_turn(debate, submitted, self._pod, now)
        )
        if isinstance(answer, Ignored):
            self._observer.count_ignored_turn(answer)
            _log.info(
                "turn ignored: %s",
                answer.value,
                extra={"debate": submitted.debate_id, "turn": submitted.number, "attempt": submitted.attempt},
            )
            return answer
        self._after_commit(answer)
        return None

    # ---- timers ----

    async def recover(self) -> None:
        """Takes up the leased steps of this pod's process before. Once, at start. Raises StoreUnavailableError.

        One that cannot be taken up is left to the timers: it must not end the process at each start.
        """
        for debate_id in await self._store.list_owned(self._pod):
            try:
                await self._claim(debate_id)
            except StoreUnavailableError:
                raise
            except Exception:  # noqa: BLE001 - what is wrong with one debate must not stop the others
                self._observer.count_failure("a debate that is due")
                _log.exception("a debate's step cannot be taken up", extra={"debate": debate_id})

    async def run_timers(self) -> None:
        """Sees to passed deadlines and to leased steps that nobody does, until cancelled."""
        while True:
            try:
                await self.fire_due()
                await self._steps.renew_leases()
            except Exception as error:  # noqa: BLE001 - a timer that ended would leave every debate to stand
                seconds = self._timer_retries.note_failure(f"deadlines are not seen to: {describe_error(error)}")
                is_known = isinstance(error, StoreUnavailableError) or self._timer_retries.in_a_row > 1
                _log.warning("deadlines wait: %s", error, exc_info=None if is_known else error)
                await asyncio.sleep(seconds)
            else:
                self._timer_retries.note_success()
                await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def trouble(self) -> str:
        """Why deadlines are not seen to; empty if they are. For health checks and people."""
        return self._timer_retries.trouble

    async def fire_due(self) -> None:
        """Sees to what is overdue now. Any replica may; the compare-and-set lets one of them win.

        One debate that cannot be seen to holds up no other: it is tried ever more rarely. Raises StoreUnavailableError.
        """
        now = self._clock.now_us()
        due = await self._store.list_due(now, DUE_LIMIT)
        self._stuck = {debate_id: self._stuck[debate_id] for debate_id, _ in due if debate_id in self._stuck}
        for debate_id, step in due:
            stuck = self._stuck.get(debate_id)
            if stuck is not None and now < stuck.due_us:
                continue
            try:
                if step is Step.FLOOR:
                    await self._expire(debate_id)
                else:
                    await self._claim(debate_id)
            except StoreUnavailableError:
                raise
            except Exception:  # noqa: BLE001 - what is wrong with one debate must not stop the others
                stuck = stuck or _Stuck(self._make_retries("a debate that is due"))
                stuck.due_us = now + int(stuck.retries.note_failure("") * 1e6)
                self._stuck[debate_id] = stuck
                _log.exception("a debate that is due cannot be seen to", extra={"debate": debate_id})

    async def aclose(self) -> None:
        """Ends what runs beside the calls. Idempotent."""
        await self._steps.aclose()
        await self._wakeups.aclose()

    async def _expire(self, debate_id: str) -> None:
        debate = await self._store.get(debate_id)
        with self._observer.resume_trace(debate, "deadline"):
            change = await self._store.change(debate_id, lambda now, time: rules.expire(now, self._pod, time))
            if change is not None:
                self._observer.count_revoked_floor(debate.attempt)
                self._after_commit(change)

    async def _claim(self, debate_id: str) -> None:
        if self._steps.has(debate_id):
            return  # it is under way here and its lease is about to be renewed
        try:
            change = await self._store.change(debate_id, lambda debate, now: rules.claim(debate, self._pod, now))
        except DebateNotFoundError:
            return
        if change is not None:
            with self._observer.resume_trace(change.debate, "recovery"):
                self._after_commit(change)

    def _after_commit(self, change: Change) -> None:
        """After the commit: wakes watchers, and begins at once what the debate now waits for, if it is ours."""
        debate = change.debate
        if change.turn is not None:
            self._observer.count_recorded_turn(change.turn)
        self._wakeups.notify(debate.id, debate.event_count, change.events)
        self._steps.begin(debate)
