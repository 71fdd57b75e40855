"""Every span, metric and attribute name of the runtime, with its unit; OpenTelemetry's conventions come first."""

from __future__ import annotations

CHAT = "chat"
"""Span: one model call, with the attributes below of the GenAI conventions; its name is "chat {model}"."""
OPERATION = "gen_ai.operation.name"
"""Attribute: "chat"."""
REQUEST_MODEL = "gen_ai.request.model"
"""Attribute: name of the model as the user selects it."""
REQUEST_SEED = "gen_ai.request.seed"
"""Attribute: the call's seed; a repeated call has the same."""
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
"""Attribute: tokens that may be written."""
INPUT_TOKENS = "gen_ai.usage.input_tokens"
"""Attribute: tokens of the prompt."""
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
"""Attribute: tokens written."""
