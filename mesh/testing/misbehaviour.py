"""The ways in which servers of models answer other than their API says, by name: rows for the tests of the adapters.

Each row makes a server's script for one dialect. What an adapter must make of it stands in the test.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from mesh.testing.openai_server import Raw, stream_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.testing.scripted_model import Answer, Call

    Script = Callable[[Call], Answer | Raw]

TEXT = "Trains are cleaner, and they are on time."
THOUGHT = "The user wants trains. I will praise them."
USAGE = {"prompt_tokens": 11, "completion_tokens": 9}
HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def openai_stream(*deltas: Mapping[str, Any], finish: Any = "stop", usage: Any = None) -> Raw:
    """Returns a stream of these deltas."""
    choices: list[dict[str, Any]] = [{"index": 0, "delta": dict(delta), "finish_reason": None} for delta in deltas]
    values = [{"choices": [choice]} for choice in choices]
    values.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        values.append({"choices": [], "usage": usage})
    return Raw(stream_lines(values, ollama=False))


def openai_whole(message: Mapping[str, Any] | None, *, finish: Any = "stop", **more: Any) -> Raw:
    """Returns an answer that is not streamed."""
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return json_answer({"choices": choices, **more})


def ollama_stream(*messages: Mapping[str, Any], **last: Any) -> Raw:
    """Returns a stream of these messages; `last` is added to its end."""
    values = [{"message": {"role": "assistant", **message}, "done": False} for message in messages]
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **last}
    return Raw(stream_lines([*values, end], ollama=True), content_type="application/x-ndjson")


def json_answer(value: Any, status: int = 200, **headers: str) -> Raw:
    """Returns one object of JSON."""
    return Raw([json.dumps(value).encode()], status, "application/json", headers)


def cut_everywhere(answer: Raw) -> Raw:
    """Returns the same bytes, one a chunk: every character and tag is split."""
    return Raw([bytes([byte]) for byte in b"".join(answer.chunks)], content_type=answer.content_type)


def compress(answer: Raw) -> Raw:
    """Returns the same answer with gzip."""
    return Raw([gzip.compress(b"".join(answer.chunks))], headers={"Content-Encoding": "gzip"})


def refuse(*fields: str, words: str = "unsupported parameter: {}", parameter: bool = False, **taken: Any) -> Script:
    """Returns a script that answers only requests without these fields, and names the first of them in its words."""

    def script(call: Call) -> Raw:
        for field in fields:
            if field in call.body or field in call.body.get("options", {}):
                error = {"message": words.format(field), "type": "invalid_request_error"}
                return json_answer(
                    {"error": {**error, "param": field} if parameter else error}, taken.get("status", 400)
                )
        if "options" in call.body:
            return ollama_stream({"content": TEXT})
        return openai_stream({"content": TEXT}) if call.body.get("stream") else openai_whole({"content": TEXT})

    return script


def in_turn(*answers: Answer | Raw) -> Script:
    """Returns a script that gives these answers one after the other, the last again and again."""
    return lambda call: answers[min(call.number, len(answers)) - 1]


def thoughts_in_text(pieces: Sequence[str], *, ollama: bool) -> Raw:
    """Returns a stream of these pieces of content."""
    messages = [{"content": piece} for piece in pieces]
    return ollama_stream(*messages) if ollama else openai_stream(*messages)
