from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.llm import traced
from mesh.llm.port import Limits, Message
from mesh.testing.scripted_model import ScriptedModel


async def test_each_call_is_one_span_with_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model call shows in the trace as "chat MODEL" with its seed and tokens, and without its words."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traced, "_tracer", provider.get_tracer("test"))
    model = traced.TracedModel(ScriptedModel(name="scripted"))

    completion = await model.complete([Message("user", "a secret")], Limits(50, 1.0), seed=7)

    (span,) = exporter.get_finished_spans()
    assert span.name == "chat scripted"
    assert span.attributes is not None
    assert span.attributes["gen_ai.request.seed"] == 7
    assert span.attributes["gen_ai.usage.output_tokens"] == completion.completion_tokens
    assert completion.first_token_seconds is not None
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == completion.first_token_seconds
    assert "a secret" not in str(dict(span.attributes))
