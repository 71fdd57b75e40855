"""A chat model without a model: answers at once, the same for the same call, and notes each call.

Tests and the benchmark hand it to a service's `wiring.build`. A script may make chosen calls answer with nothing, fail,
be slow or be huge. With a call log, each call is one JSON line appended to a file before it is answered, so that calls
can be counted over processes that were killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh.errors import ModelRefusedError, ModelUnavailableError
from mesh.llm.port import Completion, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mesh.llm.port import Limits, Message

WORDS = (
    "wages", "training", "plants", "clinics", "schools", "farms", "banks", "courts", "couriers", "nurses", "clerks",
    "unions", "towns", "taxes", "exports", "patents", "audits", "harvests", "ports", "grids",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """What a script is given of a call."""

    messages: tuple[Message, ...]
    seed: int | None
    schema: Mapping[str, Any] | None
    number: int
    """From 1, of this object."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """What came over HTTP; empty where nothing did."""

    @property
    def text(self) -> str:
        """All messages, to look for words in."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Answer:
    """How one call is answered."""

    text: str | None = None
    """None means the usual text."""
    delay_seconds: float = 0.0
    """Before the first piece."""
    pause_seconds: float = 0.0
    """Between two pieces; pieces are a few words each."""
    unavailable: bool = False
    refused: bool = False


NOTHING = Answer(text="")
UNAVAILABLE = Answer(unavailable=True)
REFUSED = Answer(refused=True)
SLOW = Answer(delay_seconds=3600.0)
HUGE = Answer(text="All work and no play. " * 4700)
"""100 KB."""
USUAL = Answer()

BY_NAME: Mapping[str, Answer] = {
    "normal": USUAL,
    "nothing": NOTHING,
    "error": UNAVAILABLE,
    "refused": REFUSED,
    "slow": SLOW,
    "huge": HUGE,
}
"""For scripts that cross a process border in an environment variable or a file."""


PROFILE = Profile(context_tokens=8192, temperature=None, guided=False)
"""That of a scripted model, unless a test gives another."""

PIECE_WORDS = 5
"""Words of each piece of a streamed answer."""


class ScriptedModel:
    """Implements mesh.llm.port.Model."""

    def __init__(
        self,
        *,
        name: str = "scripted",
        script: Callable[[Call], Answer] = lambda _call: USUAL,
        call_log: Path | None = None,
        text_bytes: int = 400,
        profile: Profile = PROFILE,
    ) -> None:
        """`text_bytes` is the length of a usual answer."""
        self._name = name
        self._script = script
        self._call_log = call_log
        self._text_bytes = text_bytes
        self._profile = profile
        self.calls: list[Call] = []
        self.cancelled = 0
        """Calls that were cancelled while they were answered."""

    @property
    def name(self) -> str:
        """See mesh.llm.port.Model."""
        return self._name

    async def profile(self) -> Profile:
        """See mesh.llm.port.Model."""
        return self._profile

    async def complete(
        self,
        messages: Sequence[Message],
        limits: Limits,
        *,
        schema: Mapping[str, Any] | None = None,
        seed: int | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """See mesh.llm.port.Model."""
        started = time.monotonic()
        call = Call(tuple(messages), seed, schema, len(self.calls) + 1)
        self.calls.append(call)
        if self._call_log is not None:
            _append(self._call_log, self._name, call)
        answer = self._script(call)
        if answer.delay_seconds:
            await self._wait(answer.delay_seconds, limits.timeout_seconds)
        if answer.unavailable:
            raise ModelUnavailableError(f"{self._name} is scripted not to answer", model=self._name)
        if answer.refused:
            raise ModelRefusedError(f"{self._name} is scripted to refuse", model=self._name)
        text = usual_text(call, self._text_bytes) if answer.text is None else answer.text
        first_token_seconds = time.monotonic() - started if text else None
        written = ""
        for piece in split_pieces(text):
            if written and answer.pause_seconds:
                await self._wait(answer.pause_seconds, limits.stall_seconds)
            written += piece
            if on_text is not None:
                on_text(written)
        prompt_tokens = max(1, len(call.text) // 4)
        return Completion(text, self._name, prompt_tokens, max(1, len(text) // 4), "stop", first_token_seconds)

    async def _wait(self, delay_seconds: float, timeout_seconds: float) -> None:
        try:
            await asyncio.sleep(min(delay_seconds, timeout_seconds))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if delay_seconds >= timeout_seconds:
            raise ModelUnavailableError(f"{self._name} did not answer in time", model=self._name)

    async def aclose(self) -> None:
        """See mesh.llm.port.Model."""


def split_pieces(text: str) -> list[str]:
    """Returns the pieces in which a text is streamed; joined they are the text."""
    words = re.findall(r"\s*\S+\s*", text) or ([text] if text else [])
    return ["".join(words[start : start + PIECE_WORDS]) for start in range(0, len(words), PIECE_WORDS)]


def usual_text(call: Call, text_bytes: int) -> str:
    """Returns plain sentences of that length that differ with the seed; with a schema, JSON that fits it."""
    digest = hashlib.sha256(f"{call.seed}/{call.text if call.seed is None else ''}".encode()).digest()
    if call.schema is not None:
        return json.dumps(_fitting(call.schema, digest))
    sentences = []
    length = 0
    for index in range(text_bytes):
        words = [WORDS[digest[(5 * index + step) % 32] % len(WORDS)] for step in range(5)]
        sentence = (
            f"Point {digest[index % 32]} is that {words[0]} depend on {words[1]}, so {words[2]} must change before "
            f"{words[3]} can help {words[4]}."
        )
        sentences.append(sentence)
        length += len(sentence) + 1
        if length > text_bytes:
            break
    return " ".join(sentences)[: text_bytes - 1].rstrip(" .") + "."


def _fitting(schema: Mapping[str, Any], digest: bytes) -> Any:
    """Returns the simplest value of a JSON schema: enough of it for the schemas of this project."""
    if "enum" in schema:
        return schema["enum"][digest[0] % len(schema["enum"])]
    kind = schema.get("type")
    if kind == "object":
        return {name: _fitting(inner, digest) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [_fitting(schema["items"], digest)]
    if kind == "boolean":
        return False
    if kind in {"integer", "number"}:
        return 1
    return f"A scripted sentence about {WORDS[digest[0] % len(WORDS)]} and {WORDS[digest[1] % len(WORDS)]}."


def _append(call_log: Path, name: str, call: Call) -> None:
    line = json.dumps({"model": name, "seed": call.seed, "schema": call.schema is not None, "pid": os.getpid()})
    # One write to a file opened for appending is whole, whoever else appends and whenever this process dies.
    with call_log.open("ab", buffering=0) as stream:
        stream.write(line.encode() + b"\n")
