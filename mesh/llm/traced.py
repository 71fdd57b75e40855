"""A model whose every call is a span of the trace that is current (GenAI conventions); `mesh.service` puts it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from mesh.telemetry import names
from mesh.telemetry.setup import as_current_span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.llm.port import Completion, Limits, Message, Model, Profile

_tracer = trace.get_tracer("rostrum.llm")


class TracedModel:
    """Implements mesh.llm.port.Model around another one. Prompts and answers are not recorded, only their sizes."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """See mesh.llm.port.Model."""
        return self._model.name

    async def profile(self) -> Profile:
        """See mesh.llm.port.Model."""
        return await self._model.profile()

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
        attributes: dict[str, str | int] = {
            names.OPERATION: names.CHAT,
            names.REQUEST_MODEL: self._model.name,
            names.REQUEST_MAX_TOKENS: limits.max_tokens,
        }
        if seed is not None:
            attributes[names.REQUEST_SEED] = seed
        name = f"{names.CHAT} {self._model.name}"
        with as_current_span(_tracer, name, trace.SpanKind.CLIENT, attributes) as span:
            completion = await self._model.complete(messages, limits, schema=schema, seed=seed, on_text=on_text)
            span.set_attribute(names.INPUT_TOKENS, completion.prompt_tokens)
            span.set_attribute(names.OUTPUT_TOKENS, completion.completion_tokens)
            if completion.first_token_seconds is not None:
                span.set_attribute(names.FIRST_CHUNK_SECONDS, completion.first_token_seconds)
            return completion

    async def aclose(self) -> None:
        """See mesh.llm.port.Model."""
        await self._model.aclose()
