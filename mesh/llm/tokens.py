"""How many tokens a text has, before a server has counted them: for budgets and contexts, so rather too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.llm.port import Message

BYTES_PER_TOKEN = 3
"""On the low side for English (about 4) and near to what other scripts have (a Chinese character is 3 bytes)."""


def estimate_tokens(text: str) -> int:
    """Returns about how many tokens a text is, in any script; rather more than it is."""
    return len(text.encode(errors="replace")) // BYTES_PER_TOKEN


def estimate_prompt(messages: Iterable[Message]) -> int:
    """Returns about how many tokens the texts of a prompt are."""
    return sum(estimate_tokens(message.content) for message in messages)
