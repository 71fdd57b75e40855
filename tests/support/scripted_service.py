"""`python -m tests.support.scripted_service moderator|debater`: a service with the scripted model, for faults and bench.

SCRIPTED_CALL_LOG: file to which each model call is appended. SCRIPTED_DELAY_SECONDS: time of each call.
SCRIPTED_ANSWER: a name of mesh.testing.scripted_model.BY_NAME that every call of a debater is answered with.
SCRIPTED_TEXT_BYTES: length of a usual answer. All else is the service as it is deployed.
"""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mesh.runtime import run
from mesh.testing.scripted_model import BY_NAME, Answer, Call, ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.runtime import Part

VECTOR_LENGTH = 16


class WordEmbedder:
    """Embeds a text as the sum of a vector for each of its words: the same words, the same vector. No model."""

    name = "words"

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See mesh.llm.port.Embedder."""
        return [_vector(text) for text in texts]

    async def aclose(self) -> None:
        """See mesh.llm.port.Embedder."""


def _vector(text: str) -> list[float]:
    total = [0.0] * VECTOR_LENGTH
    for word in text.lower().split():
        for index, byte in enumerate(hashlib.blake2b(word.encode(), digest_size=VECTOR_LENGTH).digest()):
            total[index] += byte / 128 - 1
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


def scripted(environ: Mapping[str, str], *, moderator: bool) -> ScriptedModel:
    """Returns the model that the environment describes."""
    usual = BY_NAME[environ.get("SCRIPTED_ANSWER", "normal")]
    delay_seconds = float(environ.get("SCRIPTED_DELAY_SECONDS", "0"))

    def script(call: Call) -> Answer:
        answer = replace(usual, delay_seconds=usual.delay_seconds + delay_seconds)
        if moderator:
            answer = Answer(delay_seconds=delay_seconds)
            if call.schema is None:
                answer = replace(answer, text=f"What follows from point {call.seed} for those it concerns?")
        return answer

    log = environ.get("SCRIPTED_CALL_LOG")
    return ScriptedModel(
        script=script,
        call_log=Path(log) if log else None,
        text_bytes=int(environ.get("SCRIPTED_TEXT_BYTES", "400")),
    )


def main(service: str) -> None:
    """Runs the service until a signal ends it."""
    if service == "moderator":
        from services.moderator import wiring as moderator  # noqa: PLC0415 - one service a process

        def build(environ: Mapping[str, str]) -> Sequence[Part]:
            return moderator.build(environ, model=scripted(environ, moderator=True), embedder=WordEmbedder())
    else:
        from services.debater import wiring as debater  # noqa: PLC0415

        def build(environ: Mapping[str, str]) -> Sequence[Part]:
            return debater.build(environ, model=scripted(environ, moderator=False))

    run(build)


if __name__ == "__main__":
    main(sys.argv[1])
