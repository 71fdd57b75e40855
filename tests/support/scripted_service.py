"""`python -m tests.support.scripted_service moderator|debater`: a service with the scripted model.

CRASH_FOLDER: where tests.support.crash_points finds the plan by which this process kills itself; unset: it does not.
SCRIPTED_CALL_LOG: file to which each model call is appended. SCRIPTED_DELAY_SECONDS: time of each call.
SCRIPTED_PAUSE_SECONDS: time between two pieces of a debater's answer, which is written a few words at a time.
SCRIPTED_ANSWER: a name of mesh.testing.scripted_model.BY_NAME that every call of a debater is answered with.
SCRIPTED_TEXT_BYTES: length of a usual answer. SCRIPTED_SAYS=FRESH/0/2: say what that debate of tests.support.debates
has for that seat, so many of its rounds a call. SCRIPTED_EMBEDDER=real: measure with the embedding server; =instant:
with vectors that cost and mean nothing, for benchmarks; else by words.
All else is the service as it is deployed.
"""

from __future__ import annotations

import gc
import hashlib
import math
import os
import re
import sys
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.runtime import run
from mesh.testing.scripted_model import BY_NAME, Answer, Call, ScriptedModel
from services.moderator.answers import NEW
from tests.support import debates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.runtime import Part

VECTOR_LENGTH = 16
_LETTERS = str.maketrans("0123456789abcdef", "aeioubcdfghklmnr")


class WordEmbedder:
    """Embeds a text as the sum of a vector for each of its words: the same words, the same vector. No model."""

    name = "words"

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See mesh.llm.port.Embedder."""
        return [_vector(text) for text in texts]

    async def aclose(self) -> None:
        """See mesh.llm.port.Embedder."""


class InstantEmbedder:
    """Embeds a text as some vector: the same text, the same one. An embedding model that takes no time."""

    name = "instant"

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See mesh.llm.port.Embedder."""
        return [_digest(text) for text in texts]

    async def aclose(self) -> None:
        """See mesh.llm.port.Embedder."""


def _digest(text: str) -> list[float]:
    sign_bits = zlib.crc32(text.encode())
    return [0.25 if sign_bits >> bit & 1 else -0.25 for bit in range(VECTOR_LENGTH)]


@lru_cache(maxsize=10_000)
def _word(word: str) -> tuple[float, ...]:
    return tuple(byte / 128 - 1 for byte in hashlib.blake2b(word.encode(), digest_size=VECTOR_LENGTH).digest())


def _vector(text: str) -> list[float]:
    words = [_word(word) for word in text.lower().split()] or [(0.0,) * VECTOR_LENGTH]
    total = [sum(values) for values in zip(*words, strict=True)]
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


EMBEDDERS: Mapping[str, type[WordEmbedder | InstantEmbedder] | None] = {
    "words": WordEmbedder,
    "instant": InstantEmbedder,
    "real": None,
}


def scripted(environ: Mapping[str, str], *, moderator: bool) -> ScriptedModel:
    """Returns the model that the environment describes."""
    usual = BY_NAME[environ.get("SCRIPTED_ANSWER", "normal")]
    delay_seconds = float(environ.get("SCRIPTED_DELAY_SECONDS", "0"))
    pause_seconds = 0.0 if moderator else float(environ.get("SCRIPTED_PAUSE_SECONDS", "0"))
    texts = _texts(environ.get("SCRIPTED_SAYS", ""))

    def script(call: Call) -> Answer:
        if texts:
            text = texts[(call.number - 1) % len(texts)]
            return Answer(text=text, delay_seconds=delay_seconds, pause_seconds=pause_seconds)
        if not moderator:
            text = turn_text(call.seed or 0, text_bytes) if usual.text is None else usual.text
            delay = usual.delay_seconds + delay_seconds
            return replace(usual, text=text, delay_seconds=delay, pause_seconds=pause_seconds)
        return Answer(text=moderator_text(call), delay_seconds=delay_seconds)

    text_bytes = int(environ.get("SCRIPTED_TEXT_BYTES", "400"))
    log = environ.get("SCRIPTED_CALL_LOG")
    return ScriptedModel(script=script, call_log=Path(log) if log else None)


def _texts(says: str) -> list[str]:
    if not says:
        return []
    debate, seat, rounds_a_call = says.split("/")
    turns = [turn[int(seat)] for turn in getattr(debates, debate)]
    step = int(rounds_a_call)
    return [" ".join(turns[start : start + step]) for start in range(0, len(turns), step)]


def moderator_text(call: Call) -> str:
    """Returns what a model without a schema answers the moderator: an agenda, a question, an opinion, a judgement."""
    asked, seed = call.messages[-1].content, call.seed or 0
    if found := re.search(r"write (\d+) questions", asked):
        questions = (turn_text(seed + number, 40).replace(".", "") for number in range(int(found[1])))
        return "\n".join(f"{number}. {question}?" for number, question in enumerate(questions, 1))
    if "<question>" in asked:
        return f"What follows from point {seed} for those it concerns?"
    if f"{NEW} on the first line" in asked:
        return f"{NEW}\nIt has points of its own."
    agents = re.findall(r"^Scores (\S+): argument N", asked, re.MULTILINE)
    if not agents:
        return "Each side made points of its own."
    turns = re.findall(r'<turn number="(\d+)"', asked)
    scores = [
        f"Scores {agent}: argument {7 - place}, evidence 6, rebuttal 5, clarity 8"
        for place, agent in enumerate(sorted(agents))
    ]
    return "\n".join(
        [*scores, f"Winner: {min(agents)}", f"Deciding turns: {turns[-1]}", "Rationale: It had more points."]
    )


def turn_text(seed: int, length: int) -> str:
    """Returns sentences without a repeated word, `length` characters in all, the same for the same seed."""
    digits = hashlib.shake_256(str(seed).encode()).hexdigest(length)
    words = [digits[start : start + 7].translate(_LETTERS) for start in range(0, length, 7)]
    sentences = [" ".join(words[start : start + 6]).capitalize() for start in range(0, len(words), 6)]
    return ". ".join(sentences)[: length - 1].rstrip(" .") + "."


def main(service: str) -> None:
    """Runs the service until a signal ends it."""
    gc.disable()  # as the services' own __main__ does
    if "CRASH_FOLDER" in os.environ:
        from tests.support import crash_points  # noqa: PLC0415 - costs other tests' processes nothing

        crash_points.install(Path(os.environ["CRASH_FOLDER"]), os.environ["POD_NAME"], service)
    if service == "moderator":
        from services.moderator import wiring as moderator  # noqa: PLC0415 - one service a process

        def build(environ: Mapping[str, str]) -> Sequence[Part]:
            make = EMBEDDERS[environ.get("SCRIPTED_EMBEDDER", "words")]
            embedder = None if make is None else make()
            return moderator.build(environ, model=scripted(environ, moderator=True), embedder=embedder)
    else:
        from services.debater import wiring as debater  # noqa: PLC0415

        def build(environ: Mapping[str, str]) -> Sequence[Part]:
            return debater.build(environ, model=scripted(environ, moderator=False))

    run(build)


if __name__ == "__main__":
    main(sys.argv[1])
