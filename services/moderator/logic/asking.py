"""Asks the moderator's model, within bounds: a few tries that differ in what they ask, in the budget and the context.

Owns seeds, pauses and the count of tokens of these calls; what is asked is `prompts`', what an answer means `answers`'.
No model and no answer makes it raise: it returns a value, or why there is none. Callers: the leased steps.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from mesh.errors import ModelError, ModelUnavailableError
from mesh.language.tags import detect_language
from mesh.llm.port import Limits, Message, seed_for
from mesh.llm.profiles import load_profile
from services.moderator.answers import UnusableAnswerError
from services.moderator.model.judgement import Absence
from services.moderator.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.llm.port import Completion, Model, Profile
    from services.moderator.model.debate import Debate

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Times a model is asked for the same thing, and seconds before asking again where it did not answer.
TRIES = 3
BACKOFF_SECONDS = (0.5, 2.0)
# Time: a small model on two busy cores reads a long prompt at some 50 tokens/s and writes 4.
TIMEOUT_SECONDS = 300.0
# For one token of a model that may be loading; the seats have waited for it before.
PRESENCE_SECONDS = 60.0
# Tokens of a context that are left free, for the chat template and for what our estimate is too low by.
SPARE_TOKENS = 300
INSTRUCTION_TOKENS = 500
"""What a prompt asks, beside what it quotes, with many seats."""
ENGLISH = "en"
"""What small models fall back to: an answer in it is not taken in a debate of another language."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of asking."""

    value: T | None
    tokens: int
    """Of all tries."""
    absence: Absence | None = None
    """Why there is no value."""
    error: str = ""
    """The model's last error, if it did not answer."""


class Asking:
    """The moderator's model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def load_profile(self) -> Profile:
        """Returns what the model is good for."""
        return await load_profile(self._model)

    async def ask(
        self,
        debate: Debate,
        purpose: str,
        compose: Callable[[int, str], Prompt],
        read: Callable[[Completion], T],
        *,
        budget: int,
        tries: int = TRIES,
        timeout_seconds: float = TIMEOUT_SECONDS,
        prefer: Callable[[T], None] | None = None,
    ) -> Outcome[T]:
        """Asks until an answer can be used, at most `tries` times and with at most `budget` tokens by estimate.

        `compose` makes the prompt of each try, from 0, given what was wrong with the answer before. `read` takes what
        an answer says, or raises UnusableAnswerError; so does `prefer` for a value that only the last try may have.
        Each try has a seed of its own.
        """
        tokens = 0
        fault = error_text = ""
        absence = Absence.BUDGET_SPENT
        for attempt in range(tries):
            prompt = compose(attempt, fault)
            if tokens + prompt.token_estimate > budget:
                break
            limits = Limits(prompt.max_tokens, timeout_seconds)
            try:
                completion = await self._model.complete(
                    prompt.messages, limits, schema=prompt.schema, seed=seed_of(debate, purpose, attempt)
                )
            except ModelError as error:
                absence, error_text = Absence.MODEL_FAILED, str(error)
                _log.warning("%s, try %d: %s", purpose, attempt + 1, error, extra={"debate": debate.id})
                if isinstance(error, ModelUnavailableError) and attempt + 1 < tries:
                    await asyncio.sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
                continue
            tokens += completion.prompt_tokens + completion.completion_tokens
            try:
                value = await asyncio.to_thread(read, completion)  # the first one loads what knows languages
                if prefer is not None and attempt + 1 < tries:
                    await asyncio.to_thread(prefer, value)
                return Outcome(value, tokens)
            except UnusableAnswerError as unusable:
                absence, fault = Absence.ANSWER_UNUSABLE, str(unusable)
                _log.info("%s, try %d: %s", purpose, attempt + 1, fault, extra={"debate": debate.id})
            except Exception:  # noqa: BLE001 - a reader that an answer broke: no worse than an answer without use
                absence, fault = Absence.ANSWER_UNUSABLE, "it could not be read"
                _log.exception("%s, try %d: the answer could not be read", purpose, attempt + 1)
        return Outcome(None, tokens, absence, error_text)

    async def check_presence(self, debate: Debate) -> Outcome[bool]:
        """Asks for one token, to know whether the model answers at all."""
        one_token = Prompt((Message("user", "Say yes."),), 1)
        return await self.ask(
            debate,
            "presence",
            lambda _attempt, _fault: one_token,
            lambda _completion: True,
            budget=1_000,
            tries=2,
            timeout_seconds=PRESENCE_SECONDS,
        )


def refuse_english(debate: Debate, text: str) -> None:
    """Raises UnusableAnswerError if a text is in English though the debate is in another language."""
    if debate.language.partition("-")[0] not in {"", ENGLISH} and detect_language(text) == ENGLISH:
        raise UnusableAnswerError("it was in English")


def seed_of(debate: Debate, purpose: str, attempt: int = 0) -> int:
    """Returns the seed of a call: the same for the same debate, place and purpose, so that a repeat shows."""
    place = f"{debate.name}/{debate.turn_count + 1}/{purpose}"
    return (seed_for(place) + attempt) % 2**31


def prompt_room(profile: Profile, max_tokens: int) -> int:
    """Returns the tokens that a prompt may quote, given the room for its answer."""
    return max(0, profile.context_tokens - max_tokens - SPARE_TOKENS - INSTRUCTION_TOKENS)
