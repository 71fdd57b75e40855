"""What a debater prepares and stores: its case, summaries of turns that outgrew the prompt, a small model's replies.

Each is a model call like any other, charged to the turn that it is made for, made once and stored as a note. What
cannot be had leaves the turn to be spoken without it: a debater never forfeits for want of preparation.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.errors import ModelError
from mesh.language.text import ends_sentence
from mesh.llm.port import Limits
from services.debater import answers, case, prompts
from services.debater.case import EMPTY, Case
from services.debater.history import list_lines, name_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.agent.model import RememberedTurn
    from mesh.agent.ports import FloorContext
    from services.debater.history import Plan
    from services.debater.prompts import Ask, Brief

log = logging.getLogger(__name__)

CASE_NOTE = "case"
TOKENS_PER_POINT = 80
"""Room for a reason and an example in any script; an objection with its reply takes as much."""
SUMMARY_TOKENS = 300
REPLY_TOKENS = 100
"""Room for an answer of one or two sentences; of a longer one its whole sentences are taken."""
MIN_TOKENS = 100
"""With fewer left for it, preparing is not begun."""
TURN_TOKENS = 1500
"""Tokens of the allowance that are left for the turn itself."""
SUMMARY_LINE_CHARACTERS = 1500
"""Of a turn that is summarised."""


@dataclass(slots=True)
class Preparation:
    """What stands ready for one floor."""

    context: FloorContext
    brief: Brief
    time_left: Callable[[], float]
    """Seconds to the floor's deadline."""
    failed_calls: int = 0
    """Calls that the model did not answer."""
    failure: str = ""
    """What was wrong with the last call; empty if nothing was."""

    async def load_case(self) -> Case:
        """Returns the seat's case, made and stored by the first call for a conversation; EMPTY if none could be had.

        Where two answers could not be read, EMPTY is stored; where the model did not answer, nothing is, so that the
        next turn tries again. Raises StoreUnavailableError.
        """
        stored = await self.context.notes.load(CASE_NOTE)
        if stored is not None:
            return case.load_case(stored)
        points = prompts.count_points(self.context.floor.max_rounds, guided=self.brief.guided)
        max_tokens = TOKENS_PER_POINT * (points + prompts.OBJECTIONS + 1)
        found = None
        for again in (False, True):
            ask = prompts.compose_case(self.brief, points, again=again)
            answer = await self._call(ask, max_tokens)
            if answer is None:
                return EMPTY
            found = case.read_case(answer, self.context.floor.topic)
            if found is not None:
                break
            self._note_failure(f"no usable answer: {answers.explain_unusable(answer) or 'it was no case'}")
        return case.load_case(await self.context.notes.save(CASE_NOTE, case.dump_case(found or EMPTY)))

    async def load_summary(self, plan: Plan) -> str:
        """Returns the summary of the turns that the plan summarises; empty if there are none or it cannot be had.

        Raises StoreUnavailableError.
        """
        summary = ""
        for number, part in enumerate(plan.summarised, 1):
            if await self._has_note(plan.summarised[number:]):
                continue
            summary = await self.context.notes.load(name_summary(part)) or await self._sum_up(part, summary)
        return summary

    async def load_reply(self, spoken: Sequence[RememberedTurn]) -> str:
        """Returns a guided model's answer to what another agent said last; empty if there is none that can be spoken.

        Raises StoreUnavailableError.
        """
        floor = self.context.floor
        others = [turn for turn in spoken if turn.agent != floor.agent]
        if not self.brief.guided or not others:
            return ""
        name = f"reply-{floor.turn_number}"
        stored = await self.context.notes.load(name)
        if stored is not None:
            return stored
        answer = await self._call(prompts.compose_reply(self.brief, others[-1].text), REPLY_TOKENS)
        if answer is None:
            return ""
        text = answers.tidy(answer, names=answers.list_labels(floor.agent, floor.role), cut=True)
        complaint = await asyncio.to_thread(_find_fault, text, [turn.text for turn in spoken], floor.language)
        if complaint:
            self._note_failure(f"no usable answer to the other side: {complaint}")
        return await self.context.notes.save(name, "" if complaint else text)

    async def _has_note(self, parts: Sequence[Sequence[RememberedTurn]]) -> bool:
        """Says whether one of these parts has its summary, which holds what was before it."""
        return any([await self.context.notes.load(name_summary(part)) is not None for part in parts])

    async def _sum_up(self, part: Sequence[RememberedTurn], before: str) -> str:
        lines = list_lines(part, self.context.floor.agent, characters=SUMMARY_LINE_CHARACTERS)
        answer = await self._call(prompts.compose_summary(self.brief, lines, before), SUMMARY_TOKENS)
        text = answers.tidy(answer or "", cut=True)
        if answers.explain_unusable(text):
            return before
        return await self.context.notes.save(name_summary(part), text)

    async def _call(self, ask: Ask, max_tokens: int) -> str | None:
        """Returns what the model wrote; None if it did not answer or the allowance does not pay for it.

        May take half of the time that is left: of an answer that is not finished then, what there is.
        """
        model = self.context.model
        room = min(max_tokens, model.tokens_left(self.context.floor.allowance_tokens, ask.messages) - TURN_TOKENS)
        seconds = self.time_left() / 2
        if room < MIN_TOKENS or seconds <= 0:
            return None
        written = ""

        def keep(text: str) -> None:
            nonlocal written
            written = text

        try:
            return (await model.complete(ask.messages, Limits(room, seconds), ask.schema, keep)).text
        except ModelError as error:
            self.failed_calls += 1
            self._note_failure(error.message)
            return written or None

    def _note_failure(self, reason: str) -> None:
        self.failure = reason
        log.warning("preparing for %s: %s", self.context.floor.conversation, reason)


def _find_fault(text: str, said: Sequence[str], language: str) -> str:
    """Returns why an answer to the other side is not spoken; runs in a thread, since the first loads languages."""
    if not ends_sentence(text):
        return "it holds no whole sentence"
    doubt = answers.explain_doubt(text, answers.list_sentences(said), language, guided=True)
    return answers.explain_unusable(text) or doubt
