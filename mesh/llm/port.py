"""The ports to a language model and to an embedding model. Adapters implement them; `logic` calls them.

A call never holds a transaction or blocks the event loop, and cancelling the awaiting task cancels the call at the
server. Errors: ModelUnavailableError (no answer, not in time; trying again may help) and ModelRefusedError (an answer
that cannot be used, no such model, a bad key).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call."""

    max_tokens: int
    """Tokens that may be written."""
    timeout_seconds: float
    """Time for the whole call, loading and rate limits included; then ModelUnavailableError."""
    stall_seconds: float = 30.0
    """Time between two pieces of an answer once it has begun; then ModelUnavailableError."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a model is good for, for those who write its prompts."""

    context_tokens: int
    """Tokens of prompt and answer together that one call may have."""
    temperature: float | None
    """What its calls are sent with; None leaves it to the server."""
    guided: bool
    """Whether answers are held to a JSON schema of generic fields, as small models need; False: prose, no schema."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote."""

    text: str
    """Without thoughts; empty if the model wrote nothing else. Its tokens were paid all the same."""
    model: str
    """Name as the user would select it, such as "ollama:llama3.2"."""
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"]
    first_token_seconds: float | None = None
    """From the call to the first piece of the answer, thoughts included; None if there was none, or no stream."""


def seed_for(place: str) -> int:
    """Returns the seed of the calls at a place, such as "debates/x/7/turn": 0 to 2**31 - 1, the same each time."""
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:4]) >> 1


class Model(Protocol):
    """A chat model."""

    @property
    def name(self) -> str:
        """Name as the user would select it, such as "embedded:small"."""
        ...

    async def profile(self) -> Profile:
        """Returns what the model is good for; asks its server at most once. Raises ModelError."""
        ...

    async def complete(
        self,
        messages: Sequence[Message],
        limits: Limits,
        *,
        schema: Mapping[str, Any] | None = None,
        seed: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Returns one completion. With a JSON `schema` its text is JSON of that schema, if the server heeds it.

        `seed` (0 to 2**31 - 1) makes a repeated call recognisable and, where the server allows it, repeatable.
        `on_text` is called as the answer is written, each time with all of its text so far, without thoughts. It only
        grows, but for a fence or tag that turns out to be no text.
        """
        ...

    async def aclose(self) -> None:
        """Ends its connections. Idempotent."""
        ...


class Embedder(Protocol):
    """An embedding model."""

    @property
    def name(self) -> str:
        """Name of the model, such as "multilingual-e5-small"."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Returns one vector of length 1 for each text, in order; similarity is their dot product."""
        ...

    async def aclose(self) -> None:
        """Ends its connections. Idempotent."""
        ...
