"""What a debater says to a floor and to a question: a case first, then a turn in bounded tries that differ.

Its promises (each turn once, in time) are mesh.agent's; what a model is asked is in `prompts`, what of its answer is
usable in `answers`, what is prepared and stored in `preparation`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mesh.agent.errors import ForfeitError
from mesh.agent.model import Speech
from mesh.errors import ModelError, ModelRefusedError
from mesh.language.tags import language_name
from mesh.language.text import ends_sentence, shorten
from mesh.llm.port import Limits
from mesh.llm.profiles import load_profile
from mesh.llm.tokens import estimate_prompt
from services.debater import answers, prompts
from services.debater.case import Case
from services.debater.history import list_lines, plan_history
from services.debater.preparation import Preparation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.model import Floor, RememberedTurn
    from mesh.agent.ports import FloorContext
    from mesh.clock import Clock
    from mesh.llm.port import Completion, Profile
    from services.debater.prompts import Ask, Brief

log = logging.getLogger(__name__)

TRIES = 3
"""Model calls for one turn at most, beside what is prepared, and for one question."""
MAX_TURN_TOKENS = 300
"""Room for prompts.TURN_WORDS words in most languages."""
MAX_GUIDED_TURN_TOKENS = 220
"""Small models use all they get."""
MIN_TURN_TOKENS = 40
"""Fewer would cut the first sentence: rather forfeit."""
TRY_TOKENS = 1500
"""Tokens of the allowance that the first try leaves to the next ones, whose prompts are short."""
MIN_HISTORY_TOKENS = 300
"""Of the debate so far, whatever the model's context and the allowance."""
PLAIN_CHARACTERS = 600
"""Of the last turn, in the simplest prompt."""
ANSWER_SECONDS = 90.0
"""A call for a question's answer that takes longer is given up."""
SPARE_SECONDS = 3.0
"""Of a floor's time, left for what comes after the model's call: what was written by then is the turn, if it is one.
Else the deadline passes, and the floor is granted again, with the case there."""
RETRY_SECONDS = 0.5
"""Wait before asking a model again that did not answer."""


class Debater:
    """One debater. Implements mesh.agent.ports.Speaker."""

    def __init__(self, agent: str, *, clock: Clock, persona: str = "", retry_seconds: float = RETRY_SECONDS) -> None:
        """`persona`: who it is, in its operator's words; empty for nobody in particular."""
        self._agent = agent
        self._clock = clock
        self._persona = persona
        self._retry_seconds = retry_seconds

    async def speak(self, context: FloorContext) -> Speech:
        """Returns an argument for the seat's side. Raises ForfeitError after TRIES, or if the allowance is spent."""
        profile = await load_profile(context.model)
        brief = prompts.Brief(
            topic=context.floor.topic,
            stance=context.floor.role,
            language=_name_language(context.floor.language),
            persona=self._persona,
            guided=profile.guided,
        )
        time_left = partial(self._count_seconds_left, context.floor)
        preparation = Preparation(context, brief, time_left)
        case = await preparation.load_case()
        spoken = [turn for turn in context.turns if turn.text]
        plan = plan_history(spoken, _count_history_tokens(context.floor, profile, brief, case))
        summary = await preparation.load_summary(plan)
        reply = await preparation.load_reply(spoken)
        turn = _Turn(context, brief, case, spoken, plan.newest, summary, reply, time_left, self._retry_seconds)
        return await turn.speak(tries=max(1, TRIES - preparation.failed_calls), reason=preparation.failure)

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        """Returns an answer in prose. Raises ModelUnavailableError, ModelRefusedError."""
        ask = prompts.compose_answer(agent=self._agent, question=question, persona=self._persona)
        while model.calls < TRIES:
            completion = await model.complete(ask.messages, Limits(MAX_TURN_TOKENS, ANSWER_SECONDS))
            text = _tidy(completion, ask, [self._agent])
            if not answers.explain_unusable(text):
                return Speech(text, completion.model)
        message = f"the model {model.name} gave no usable answer in {TRIES} tries; ask again or use another model"
        raise ModelRefusedError(message, model=model.name)

    def _count_seconds_left(self, floor: Floor) -> float:
        return (floor.deadline_us - self._clock.now_us()) / 1e6


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn, once all that it needs is prepared."""

    context: FloorContext
    brief: Brief
    case: Case
    spoken: Sequence[RememberedTurn]
    newest: Sequence[RememberedTurn]
    """Those that stand in the prompt as they are."""
    summary: str
    """Of those before them."""
    reply: str
    """With which the turn begins; empty for a model that is asked for all of its turn at once."""
    time_left: Callable[[], float]
    """Seconds to the floor's deadline."""
    retry_seconds: float

    async def speak(self, tries: int, reason: str) -> Speech:
        """Returns what the model says, a doubtful answer only if no later try gave a better one.

        `tries`: model calls at most; `reason`: what was wrong before the first. Raises ForfeitError.
        """
        floor, model = self.context.floor, self.context.model
        names = answers.list_labels(floor.agent, floor.role)
        complaint = ""
        doubtful: Speech | None = None
        asked = 0
        for number in range(1, tries + 1):
            ask = self._compose(asked, complaint)
            tokens = min(self._max_tokens, model.tokens_left(floor.allowance_tokens, ask.messages))
            if tokens < MIN_TURN_TOKENS:
                reason = reason or f"the allowance of {floor.allowance_tokens} tokens does not pay for the prompt"
                break
            written: list[str] = []
            try:
                completion = await self._call(ask, tokens, names, written)
            except ModelError as error:
                reason = error.message
                if self.time_left() <= SPARE_SECONDS:
                    doubtful = doubtful or self._take_unfinished(written, ask, names)
                if doubtful is not None:
                    return doubtful
                asked += not error.retriable  # what it refuses it refuses again: ask something else
                if error.retriable and number < tries:
                    await asyncio.sleep(self.retry_seconds)
                continue
            asked += 1
            text, complaint, doubt = await asyncio.to_thread(self._read, completion, ask, names)
            if not complaint:
                speech = Speech(self._begin_with_reply(text), completion.model)
                if not doubt:
                    return speech
                doubtful = doubtful or speech
                complaint = doubt
            reason = f"no usable answer: {complaint}"
            log.warning("try %d of turn %d of %s: %s", number, floor.turn_number, floor.conversation, complaint)
        if doubtful is not None:
            return doubtful
        if self.reply:
            return Speech(self.reply, model.name)
        raise ForfeitError(reason)

    def _begin_with_reply(self, text: str) -> str:
        return f"{self.reply} {text}" if self.reply else text

    @property
    def _max_tokens(self) -> int:
        return MAX_GUIDED_TURN_TOKENS if self.brief.guided else MAX_TURN_TOKENS

    def _compose(self, asked: int, complaint: str) -> Ask:
        """Returns another question for each answer that could not be taken: in full, in prose, in the fewest words."""
        floor = self.context.floor
        # With a reply there is nothing left to answer.
        to_answer = [] if self.reply else [turn for turn in self.spoken if turn.agent != floor.agent]
        if asked >= TRIES - 1:
            return prompts.compose_plain_turn(
                self.brief,
                self.case,
                last=shorten(to_answer[-1].text, PLAIN_CHARACTERS) if to_answer else "",
                question=floor.question,
                complaint=complaint,
            )
        return prompts.compose_turn(
            self.brief,
            self.case,
            lines=list_lines(self.newest if asked == 0 else self._list_unanswered(), floor.agent),
            is_answer=bool(to_answer),
            summary=self.summary if asked == 0 else "",
            question=floor.question,
            round_number=floor.round,
            complaint=complaint,
        )

    def _list_unanswered(self) -> Sequence[RememberedTurn]:
        """Returns the turns since its own last one."""
        own = [place for place, turn in enumerate(self.spoken, 1) if turn.agent == self.context.floor.agent]
        return self.spoken[own[-1] if own else 0 :]

    async def _call(self, ask: Ask, tokens: int, names: Sequence[str], written: list[str]) -> Completion:
        """Returns what the model answers in the time that is left; `written` then holds all of it so far."""
        draft = self.context.draft

        def render(text: str) -> str:
            return self._begin_with_reply(answers.render_draft(text, fields=ask.fields, names=names))

        def show(text: str) -> None:
            written[:] = [text]
            draft.show(text, render)

        draft.show("")
        seconds = max(self.time_left() - SPARE_SECONDS, SPARE_SECONDS)
        return await self.context.model.complete(ask.messages, Limits(tokens, seconds), ask.schema, show)

    def _read(self, completion: Completion, ask: Ask, names: Sequence[str]) -> tuple[str, str, str]:
        """Returns what an answer says, why it is none, and what speaks against it; runs in a thread.

        All that was said is split into sentences for it, once, and the first time loads what knows languages.
        """
        said = answers.list_sentences([turn.text for turn in self.spoken])
        text = _tidy(completion, ask, names, said)
        complaint = answers.explain_unusable(text)
        if complaint:
            return text, complaint, ""
        language = self.context.floor.language
        return text, "", answers.explain_doubt(text, said, language, guided=ask.schema is not None)

    def _take_unfinished(self, written: Sequence[str], ask: Ask, names: Sequence[str]) -> Speech | None:
        """Returns the whole sentences of an answer that the deadline cut off; None if there is none."""
        text = answers.tidy("".join(written), fields=ask.fields, names=names, cut=True)
        if answers.explain_unusable(text) or not ends_sentence(text):
            return None
        return Speech(self._begin_with_reply(text), self.context.model.name)


def _name_language(tag: str) -> str:
    """Returns the English name of a language; empty if the tag names none."""
    try:
        return language_name(tag)
    except ValueError:
        return ""


def _count_history_tokens(floor: Floor, profile: Profile, brief: Brief, case: Case) -> int:
    """Returns the room for the debate so far: the same at each floor of a debate, so that its plan stays the same."""
    empty = prompts.compose_turn(
        brief, case, lines=(), is_answer=True, summary="", question=floor.topic, round_number=1
    )
    most = min(profile.context_tokens, floor.allowance_tokens - TRY_TOKENS)
    return max(MIN_HISTORY_TOKENS, most - estimate_prompt(empty.messages) - MAX_TURN_TOKENS)


def _tidy(completion: Completion, ask: Ask, names: Sequence[str], said: Set[answers.Sentence] = frozenset()) -> str:
    cut = completion.finish_reason == "length"
    return answers.tidy(completion.text, fields=ask.fields, names=names, cut=cut, said=said)
