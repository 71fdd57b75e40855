"""A model as an agent calls it: charged, seeded, and otherwise the model as it is."""

from __future__ import annotations

import pytest

from mesh.agent.metered_model import MeteredModel, call_seed
from mesh.agent.model import Cost, Counters
from mesh.errors import ModelUnavailableError
from mesh.llm.port import Limits, Message
from mesh.testing.scripted_model import PROFILE, UNAVAILABLE, Answer, ScriptedModel


async def test_it_shows_what_the_model_writes_and_says_what_it_is_good_for() -> None:
    """The pieces of an answer and the profile come through; the cost is that of the completion."""
    scripted = ScriptedModel(script=lambda _call: Answer(text="One two three four five six seven."))
    model = MeteredModel(scripted, Counters(), "debates/d1/1/turn")
    shown: list[str] = []
    completion = await model.complete([Message("user", "Say it.")], Limits(10, 1.0), on_text=shown.append)
    assert shown[-1] == completion.text
    assert len(shown) > 1
    assert await model.profile() == PROFILE
    assert model.cost == Cost(1, completion.prompt_tokens, completion.completion_tokens)


async def test_a_charge_moves_the_seeds_on() -> None:
    """After two calls of another process the next one is the third."""
    scripted = ScriptedModel()
    model = MeteredModel(scripted, Counters(), "debates/d1/1/turn")
    model.charge(Cost(calls=2, prompt_tokens=30, completion_tokens=4))
    await model.complete([], Limits(10, 1.0))
    assert scripted.calls[0].seed == call_seed("debates/d1/1/turn", 3)
    assert model.cost.calls == 3
    assert model.cost.prompt_tokens > 30


async def test_an_answer_that_breaks_off_is_charged() -> None:
    """What was written before a model fell silent was paid for, and what it read; a call without an answer costs
    nothing."""
    scripted = ScriptedModel(script=lambda _call: Answer(text="One two three four five six seven.", pause_seconds=60.0))
    model = MeteredModel(scripted, Counters(), "debates/d1/1/turn")
    with pytest.raises(ModelUnavailableError):
        await model.complete([Message("user", "Say it, please.")], Limits(10, 1.0, stall_seconds=0.01))
    assert model.cost == Cost(1, 5, 8)
    silent = MeteredModel(ScriptedModel(script=lambda _call: UNAVAILABLE), Counters(), "debates/d1/1/turn")
    with pytest.raises(ModelUnavailableError):
        await silent.complete([Message("user", "Say it, please.")], Limits(10, 1.0))
    assert silent.cost == Cost(1, 0, 0)
