"""What a debater says to a floor and to a question: bounded tries, and a reason where no try gave a turn.

Its promises (each turn once, in time) are mesh.agent's; what a model is asked is in `prompts`, and what of its answer
is usable in `answers`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mesh.agent.errors import ForfeitError
from mesh.agent.model import Speech
from mesh.errors import ModelError, ModelRefusedError
from mesh.llm.port import Limits
from services.debater import answers, prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.agent.metered_model import MeteredModel
    from mesh.agent.ports import FloorContext
    from mesh.llm.port import Completion

log = logging.getLogger(__name__)

TRIES = 3
"""Model calls for one floor at most, and for one question."""
MAX_ANSWER_CHARACTERS = 20_000
"""A longer answer is no turn of a debate: the model has lost its way, and the try counts as unusable."""
MAX_TURN_TOKENS = 180
"""Room for four sentences in JSON, about 100 words, and no more: small models use all they get."""
MIN_TURN_TOKENS = 40
"""Fewer would cut the first sentence: rather forfeit."""
CALL_SECONDS = 90.0
"""A model call that takes longer is given up and tried again, if the deadline allows."""
RETRY_SECONDS = 0.5
"""Wait before asking a model again that did not answer."""


class Debater:
    """One debater. Implements mesh.agent.ports.Speaker."""

    def __init__(self, agent: str, *, retry_seconds: float = RETRY_SECONDS) -> None:
        self._agent = agent
        self._retry_seconds = retry_seconds

    async def speak(self, context: FloorContext) -> Speech:
        """Returns an argument for the seat's side. Raises ForfeitError after TRIES, or if the allowance is spent."""
        floor, turns, model = context.floor, context.turns, context.model
        own = [turn.text for turn in turns if turn.agent == self._agent and turn.text]
        others = [turn.text for turn in turns if turn.agent != self._agent and turn.text]
        complaint = reason = ""
        while model.calls < TRIES:
            messages, schema = prompts.compose_turn(
                topic=floor.topic,
                stance=floor.role,
                question=floor.question,
                round_number=floor.round,
                own=own,
                others=others,
                complaint=complaint,
                plain=model.calls == TRIES - 1,
            )
            tokens = model.tokens_left(floor.allowance_tokens, messages)
            if tokens < MIN_TURN_TOKENS:
                reason = reason or f"the allowance of {floor.allowance_tokens} tokens does not pay for the prompt"
                break
            try:
                completion = await model.complete(messages, Limits(min(MAX_TURN_TOKENS, tokens), CALL_SECONDS), schema)
            except ModelError as error:
                reason = error.message
                if error.retriable and model.calls < TRIES:
                    await asyncio.sleep(self._retry_seconds)
                continue
            text = _tidy(completion, own)
            complaint = _explain_length(completion) or answers.explain_unusable(
                text, [*own, *others], topic=floor.topic
            )
            if not complaint:
                return Speech(text, completion.model)
            reason = f"no usable answer: {complaint}"
            log.warning("try %d of turn %d of %s: %s", model.calls, floor.turn_number, floor.conversation, complaint)
        raise ForfeitError(reason)

    async def answer(self, question: str, model: MeteredModel) -> Speech:
        """Returns an answer in prose. Raises ModelUnavailableError, ModelRefusedError."""
        messages = prompts.compose_answer(agent=self._agent, question=question)
        while model.calls < TRIES:
            completion = await model.complete(messages, Limits(MAX_TURN_TOKENS, CALL_SECONDS))
            text = _tidy(completion)
            if text:
                return Speech(text, completion.model)
        message = f"the model {model.name} gave no usable answer in {TRIES} tries; ask again or use another model"
        raise ModelRefusedError(message, model=model.name)


def _explain_length(completion: Completion) -> str:
    """Returns what is wrong with the length of an answer; empty if nothing is."""
    length = len(completion.text)
    return f"it had {length:,} characters" if length > MAX_ANSWER_CHARACTERS else ""


def _tidy(completion: Completion, earlier: Sequence[str] = ()) -> str:
    """Returns the answer as it may be said; empty if it is far too long, which tidying would only hide."""
    if _explain_length(completion):
        return ""
    return answers.tidy(completion.text, cut=completion.finish_reason == "length", earlier=earlier)
