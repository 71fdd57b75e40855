"""The model as an agent calls it for one floor or one question: each call counted, charged and seeded.

The seed follows from the place (a turn, a question) and the number of the call, so that a call which is repeated after
a crash can be recognised, and, where the model's server allows it, gives the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.agent.model import Cost
from mesh.errors import ModelError
from mesh.llm.port import seed_for
from mesh.llm.tokens import estimate_prompt, estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.agent.model import Counters
    from mesh.llm.port import Completion, Limits, Message, Model, Profile


def turn_place(conversation: str, turn_number: int) -> str:
    """Returns the place of the calls for a turn."""
    return f"{conversation}/{turn_number}/turn"


def question_place(request_id: str) -> str:
    """Returns the place of the calls for a question."""
    return f"{request_id}/0/ask"


def call_seed(place: str, call: int) -> int:
    """Returns the seed of a call, from 1, at a place: 0 to 2**31 - 1."""
    return seed_for(f"{place}/{call}")


class MeteredModel:
    """A model and what its calls for one turn or answer have cost so far."""

    __slots__ = ("_counters", "_model", "_place", "calls", "completion_tokens", "prompt_tokens")

    def __init__(self, model: Model, counters: Counters, place: str) -> None:
        self._model = model
        self._counters = counters
        self._place = place
        self.calls = 0
        """Calls so far, those that failed included."""
        self.prompt_tokens = 0
        self.completion_tokens = 0

    @property
    def cost(self) -> Cost:
        """What the calls so far have cost, those of a note that was made for this turn before a crash included."""
        return Cost(self.calls, self.prompt_tokens, self.completion_tokens)

    def charge(self, cost: Cost) -> None:
        """Adds calls that another process made for this turn; the next call has the seed that it would have there."""
        self.calls += cost.calls
        self.prompt_tokens += cost.prompt_tokens
        self.completion_tokens += cost.completion_tokens

    @property
    def name(self) -> str:
        """Name of the model, as in mesh.llm.port.Model."""
        return self._model.name

    def tokens_left(self, allowance_tokens: int, messages: Sequence[Message]) -> int:
        """Returns what an allowance leaves for the answer to this prompt, after the calls so far; may be below 0."""
        return allowance_tokens - self.prompt_tokens - self.completion_tokens - estimate_prompt(messages)

    async def profile(self) -> Profile:
        """Returns what the model is good for, as mesh.llm.port.Model does. Raises ModelError."""
        return await self._model.profile()

    async def complete(
        self,
        messages: Sequence[Message],
        limits: Limits,
        schema: Mapping[str, Any] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Returns one completion, as mesh.llm.port.Model does. Raises ModelError.

        An answer that breaks off was paid for too: it is charged by what was written of it.
        """
        written = ""

        def show(text: str) -> None:
            nonlocal written
            written = text
            if on_text is not None:
                on_text(text)

        self.calls += 1
        self._counters.model_calls += 1
        seed = call_seed(self._place, self.calls)
        try:
            completion = await self._model.complete(messages, limits, schema=schema, seed=seed, on_text=show)
        except ModelError:
            if written:
                self.prompt_tokens += estimate_prompt(messages)
                self.completion_tokens += estimate_tokens(written)
            raise
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        return completion
