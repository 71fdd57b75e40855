"""An answer as it grows: the pieces that a dialect reads from a server, put together and judged at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mesh.llm.http_errors import estimated_tokens
from mesh.llm.json_text import json_text
from mesh.llm.port import Completion
from mesh.llm.thoughts import has_thoughts, visible_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.llm.port import Message

CUT_REASONS = frozenset({"length", "max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit"})
"""What servers call an answer that reached its bound, in lower case."""


MAX_COUNT = 100_000_000
"""Tokens of one call: ten times the largest context there is. A server's larger number, Infinity or NaN is a fault, and
would not fit where counts are added up and stored."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one JSON object of a server says. All fields may be missing from it."""

    text: str = ""
    thought: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ended: bool = False
    """Whether nothing can follow but counts."""


class Answer:
    """All pieces so far."""

    def __init__(self) -> None:
        self.written = ""
        """As the server sent it, thoughts in tags included."""
        self.thoughts = ""
        self.finish_reason = ""
        self.ended = False
        self._prompt_tokens: int | None = None
        self._completion_tokens: int | None = None

    @property
    def is_thinking(self) -> bool:
        """Whether there were thoughts of any kind."""
        return bool(self.thoughts) or has_thoughts(self.written)

    def add(self, piece: Piece) -> None:
        """Adds what came."""
        self.written += piece.text
        self.thoughts += piece.thought
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.ended = self.ended or piece.ended or bool(piece.finish_reason)
        if piece.prompt_tokens is not None:
            self._prompt_tokens = piece.prompt_tokens
        if piece.completion_tokens is not None:
            self._completion_tokens = piece.completion_tokens

    def text(self, *, ended: bool) -> str:
        """Returns the text so far, without thoughts."""
        return visible_text(self.written, ended=ended)

    def complete(
        self, name: str, messages: Sequence[Message], *, as_json: bool, first_token_seconds: float | None
    ) -> Completion:
        """Returns it as the port wants it; counts that the server did not give are estimated."""
        text = self.text(ended=True)
        cut = self.finish_reason.lower() in CUT_REASONS or (bool(text) and self.finish_reason == "content_filter")
        finish: Literal["stop", "length"] = "length" if cut else "stop"
        prompt, written = self._prompt_tokens, self._completion_tokens
        if prompt is None:
            prompt = sum(estimated_tokens(message.content) for message in messages)
        if written is None:
            written = estimated_tokens(self.written + self.thoughts)
        return Completion(json_text(text) if as_json else text, name, prompt, written, finish, first_token_seconds)


def read_text(value: Any) -> str:
    """Returns the text of a content: a string, null, or a list of parts, thoughts among them left out."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        is_thought = "think" in str(value.get("type", "")) or "reason" in str(value.get("type", ""))
        return "" if is_thought else read_text(value.get("text") or value.get("content") or value.get("value"))
    return "".join(read_text(part) for part in value) if isinstance(value, list) else ""


def read_thought(value: Any) -> str:
    """Returns the thoughts among the parts of a content."""
    if not isinstance(value, list):
        return ""
    parts = [part for part in value if isinstance(part, dict) and not read_text(part)]
    return "".join(read_text(part.get("thinking") or part.get("reasoning") or part.get("text")) for part in parts)


def read_count(value: Any) -> int | None:
    """Returns a number of tokens; None if it is none, or one that no model can have."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        return None
    return int(value)
