"""What a user sets for a model over what is known of it: MODEL_TEMPERATURE and MODEL_CONTEXT_TOKENS."""

from __future__ import annotations

from dataclasses import dataclass

MIN_CONTEXT_TOKENS = 2048
"""Less holds no prompt of a conversation and its answer."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """None: as the model's profile says."""

    temperature: float | None = None
    context_tokens: int | None = None


def read_temperature(text: str) -> float:
    """Returns a temperature, 0 to 2. Raises ValueError."""
    value = float(text)
    if not 0 <= value <= 2:
        message = "not a number from 0 to 2"
        raise ValueError(message)
    return value


def read_context_tokens(text: str) -> int:
    """Returns a number of tokens, MIN_CONTEXT_TOKENS or more. Raises ValueError."""
    value = int(text)
    if value < MIN_CONTEXT_TOKENS:
        message = f"not a whole number of {MIN_CONTEXT_TOKENS} or more"
        raise ValueError(message)
    return value
