"""Eleven kinds of answer, as servers really send them, and what the debater says of each: what the model said.

The debater over the adapter for OpenAI's API and a real HTTP server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mesh.agent.drafts import FloorDraft
from mesh.agent.metered_model import MeteredModel
from mesh.agent.model import Counters
from mesh.agent.notes import StoredNotes
from mesh.agent.ports import FloorContext
from mesh.errors import ModelUnavailableError
from mesh.llm.openai import OpenAIModel
from mesh.testing.clock import FakeClock
from mesh.testing.misbehaviour import openai_stream
from mesh.testing.openai_server import ScriptedServer
from mesh.testing.scripted_model import Answer, Call, ScriptedModel
from services.debater.logic import Debater
from tests.unit.mesh.agent.fakes import AGENT, SENSIBLE, FakeStore, floor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.llm.port import Completion, Limits, Message, Model

CASE = "CLAIM: Machines help.\nPOINT: Nurses gain time.\nEXAMPLE: Ulm."
THOUGHT = "They want jobs. I will praise the machines."
LONG = " ".join(f"In town number {number} the shops sold more than before." for number in range(70))
SPANISH = "¿Quién gana? Los soldadores: la fábrica de Ulm contrató a cuarenta más."
CHINESE = "自动化提高了焊工的工资。乌尔姆的工厂在购买机器人之后又雇用了四十名焊工。"
ARABIC = "الأتمتة ترفع أجور اللحامين، وقد وظّف المصنع أربعين عاملاً إضافياً."
HINDI = "स्वचालन से वेल्डरों का वेतन बढ़ता है। उल्म के कारखाने ने चालीस और लोगों को काम दिया।"

KINDS: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]] = {
    "plain": (SENSIBLE, [{"content": SENSIBLE}]),
    "short": ("No: nobody asked them.", [{"content": "No: nobody asked them."}]),
    "long": (LONG, [{"content": LONG}]),
    "Spanish": (SPANISH, [{"content": SPANISH}]),
    "Chinese": (CHINESE, [{"content": CHINESE}]),
    "Arabic": (ARABIC, [{"content": ARABIC}]),
    "Hindi": (HINDI, [{"content": HINDI}]),
    "thoughts in tags": (SENSIBLE, [{"content": f"<think>{THOUGHT}</think>\n\n{SENSIBLE}"}]),
    "thoughts in a field": (SENSIBLE, [{"reasoning_content": THOUGHT}, {"content": SENSIBLE}]),
    "unclosed tags": (SENSIBLE, [{"content": f"{THOUGHT}\n</think>\n\n{SENSIBLE}"}]),
    "fenced JSON": (SENSIBLE, [{"content": "```json\n" + json.dumps({"speech": SENSIBLE}) + "\n```"}]),
    "emoji only": ("🚗🚫🌳👨‍👩‍👧", [{"content": "🚗🚫🌳👨‍👩‍👧"}]),
}
"""By name, what is said and the pieces that the server sends."""


def open_floor(model: Model, clock: FakeClock) -> FloorContext:
    """Returns a floor with that model and an empty store."""
    granted = floor(allowance_tokens=100_000)
    metered = MeteredModel(model, Counters(), "debates/d1/1/turn")
    return FloorContext(granted, [], metered, StoredNotes(FakeStore(), granted, metered, clock), FloorDraft(granted))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_model_said_is_the_turn(kind: str) -> None:
    """Each comes through as it was said, by one call after that for the case."""
    said, pieces = KINDS[kind]
    clock = FakeClock()
    with ScriptedServer() as server:
        server.script = lambda call: (
            Answer(text=CASE) if "Prepare the case" in call.text else openai_stream(*pieces, usage={})
        )
        model = OpenAIModel("openai:scripted", model="scripted", base_url=f"{server.url}/v1")
        context = open_floor(model, clock)
        try:
            speech = await Debater(AGENT, clock=clock).speak(context)
        finally:
            await model.aclose()
    assert speech.text == said
    assert context.model.calls == 2


class SlowModel(ScriptedModel):
    """Answers the case; of a turn it writes a text, and then the floor's time is over."""

    def __init__(self, clock: FakeClock, written: str) -> None:
        super().__init__(script=lambda _call: Answer(text=CASE))
        self._clock = clock
        self._written = written

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
        if not self.calls:
            return await super().complete(messages, limits, schema=schema, seed=seed, on_text=on_text)
        self.calls.append(Call(tuple(messages), seed, schema, len(self.calls) + 1))
        assert on_text is not None
        on_text(self._written)
        self._clock.advance(limits.timeout_seconds)
        raise ModelUnavailableError("not in time", model=self.name)


async def test_what_the_deadline_cuts_off_is_taken() -> None:
    """A model too slow for a whole turn says the sentences that it has written when the floor's time is over."""
    clock = FakeClock()
    model = SlowModel(clock, f"{SENSIBLE} And then they")
    speech = await Debater(AGENT, clock=clock, retry_seconds=0.0).speak(open_floor(model, clock))
    assert speech.text == SENSIBLE
    assert len(model.calls) == 2
