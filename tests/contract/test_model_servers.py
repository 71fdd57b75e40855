"""How the adapters take what servers of models really send: one table, each row a way to answer.

A row that says `text` comes through as that text; one that says an error comes as that error, and never as another
exception. Rows for waiting are at the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from mesh.errors import ModelError, ModelRefusedError, ModelUnavailableError
from mesh.llm import chat
from mesh.llm.ollama import OllamaModel
from mesh.llm.openai import OpenAIModel
from mesh.llm.port import Completion, Limits, Message, Model
from mesh.llm.tuning import Tuning
from mesh.testing.misbehaviour import (
    HTML,
    TEXT,
    THOUGHT,
    USAGE,
    compress,
    cut_everywhere,
    in_turn,
    json_answer,
    ollama_stream,
    openai_stream,
    openai_whole,
    refuse,
)
from mesh.testing.openai_server import Raw, ScriptedServer, stream_lines
from mesh.testing.scripted_model import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ASK = [Message("system", "Be brief."), Message("user", "Trains or cars?")]
LIMITS = Limits(max_tokens=64, timeout_seconds=10, stall_seconds=5)
SCHEMA = {"type": "object", "properties": {"point": {"type": "string"}}, "required": ["point"]}
POINT = {"point": "“Trains”, they say, are clean."}


@dataclass(frozen=True)
class Row:
    answer: Any
    """A Raw, or a script."""
    text: str | None = TEXT
    error: type[ModelError] | None = None
    words: str = ""
    """Of the error's message."""
    options: Mapping[str, Any] = field(default_factory=dict)
    requests: int | None = 1
    finish: str = "stop"


def broken(error: type[ModelError], answer: Any, words: str = "", requests: int = 1, **options: Any) -> Row:
    return Row(answer, None, error, words, options, requests)


def openai(**delta: Any) -> Row:
    return Row(openai_stream(delta))


def stream_refused(call: Call) -> Raw:
    """Refuses to stream; the objects of an Ollama have `stream` in any case."""
    if call.body["stream"]:
        return json_answer({"error": "streaming is not available to you"}, 400)
    return json_answer({"message": {"role": "assistant", "content": TEXT}, "done": True})


OPENAI: Mapping[str, Row] = {
    "thoughts as reasoning_content": Row(openai_stream({"reasoning_content": THOUGHT}, {"content": TEXT})),
    "thoughts as reasoning": Row(openai_stream({"reasoning": THOUGHT, "content": None}, {"content": TEXT})),
    "thoughts in tags": Row(openai_stream({"content": f"<think>{THOUGHT}</think>\n\n{TEXT}"})),
    "thoughts in split tags": Row(openai_stream(*({"content": one} for one in f"<think>{THOUGHT}</think>{TEXT}"))),
    "thoughts in other tags": Row(openai_stream({"content": f"[THINK]{THOUGHT}[/THINK]{TEXT}"})),
    "thoughts of a template's channels": Row(
        openai_stream(
            {
                "content": f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
                f"<|start|>assistant<|channel|>final<|message|>{TEXT}"
            }
        )
    ),
    "closing tag alone": Row(openai_stream({"content": f"{THOUGHT}</think>{TEXT}"})),
    "opening tag alone": Row(openai_stream({"content": f"<think>{THOUGHT}"}), ""),
    "text, then an opening tag alone": Row(openai_stream({"content": f"{TEXT}<think>{THOUGHT}"})),
    "thoughts only": Row(openai_stream({"reasoning_content": THOUGHT}, finish="length"), "", finish="length"),
    "parts": openai(content=[{"type": "text", "text": TEXT[:9]}, {"type": "output_text", "text": TEXT[9:]}]),
    "parts with a thought": openai(
        content=[{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": TEXT}]
    ),
    "null content": Row(openai_stream({"content": None}), ""),
    "tool call only": Row(
        openai_stream(
            {"content": None, "tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]},
            finish="tool_calls",
        ),
        "",
    ),
    "refusal in its own field": Row(openai_whole({"content": None, "refusal": TEXT})),
    "a word for finish_reason that nobody knows": Row(openai_stream({"content": TEXT}, finish="because")),
    "finish_reason is null": Row(openai_stream({"content": TEXT}, finish=None)),
    "finish_reason is a number": Row(openai_stream({"content": TEXT}, finish=7)),
    "max_tokens as finish_reason": Row(openai_stream({"content": TEXT}, finish="MAX_TOKENS"), finish="length"),
    "filtered": broken(ModelRefusedError, openai_stream({"content": ""}, finish="content_filter"), "content filter"),
    "usage in the last chunk": Row(openai_stream({"content": TEXT}, usage=USAGE)),
    "no end but the usage": Row(
        Raw(stream_lines([{"choices": [{"delta": {"content": TEXT}}]}, {"choices": [], "usage": USAGE}], ollama=True))
    ),
    "usage is null": Row(openai_whole({"content": TEXT}, usage=None)),
    "usage has nulls": Row(openai_whole({"content": TEXT}, usage={"prompt_tokens": None, "completion_tokens": "9"})),
    "stream ignored": Row(openai_whole({"content": TEXT}, usage=USAGE)),
    "stream ignored, in lines": Row(
        Raw([json.dumps({"choices": [{"message": {"content": TEXT}}]}, indent=2).encode()], content_type="text/plain")
    ),
    "content type lies": Row(
        Raw(openai_stream({"content": TEXT}).chunks, content_type="application/json"),
    ),
    "every byte apart": Row(
        cut_everywhere(openai_stream({"content": "<think>schön 日本</think>Grüße, 日本 🚄"})), "Grüße, 日本 🚄"
    ),
    "gzip": Row(compress(openai_stream({"content": TEXT}))),
    "comments and other fields": Row(
        Raw(
            [
                b": PROCESSING\r\n\r\n",
                b"event: message\r\nid: 1\r\nretry: 5\r\n",
                *openai_stream({"content": TEXT}).chunks,
            ]
        )
    ),
    "a byte order mark": Row(Raw([b"\xef\xbb\xbf", *openai_stream({"content": TEXT}).chunks])),
    "choices of other types": Row(Raw([b'data: {"choices": [null]}\n\n', *openai_stream({"content": TEXT}).chunks])),
    "fenced": Row(openai_stream({"content": "```text\n"}, {"content": TEXT}, {"content": "\n```"})),
    "HTML": broken(ModelRefusedError, Raw([HTML], content_type="text/html"), "Bad Gateway"),
    "empty body": broken(ModelUnavailableError, Raw([]), "nothing at all"),
    "JSON of something else": broken(ModelRefusedError, json_answer({"status": "ok"}), "no choice"),
    "a list": broken(ModelRefusedError, Raw([b"[1, 2]" + b" " * 400]), "not JSON"),
    "broken gzip": broken(ModelRefusedError, Raw([b"\0\1\2"], headers={"Content-Encoding": "gzip"}), "encoding"),
    "cut": broken(ModelUnavailableError, Raw(openai_stream({"content": TEXT}).chunks[:1], is_cut=True), "broke off"),
    "ended without an end": broken(
        ModelUnavailableError, Raw(openai_stream({"content": TEXT}).chunks[:1]), "broke off"
    ),
    "error in a 200": broken(
        ModelRefusedError, json_answer({"error": {"message": "no such tool", "code": "x"}}), "tool"
    ),
    "error as text in a 200": broken(ModelRefusedError, json_answer({"error": "Unexpected endpoint"}), "Unexpected"),
    "error in the middle": broken(
        ModelUnavailableError,
        Raw([openai_stream({"content": TEXT}).chunks[0], b'data: {"error": {"message": "out of memory"}}\n\n']),
        "out of memory",
    ),
    "error as an event": broken(ModelRefusedError, Raw([b'event: error\ndata: {"message": "not you"}\n\n']), "not you"),
    "max_tokens refused": Row(refuse("max_tokens", parameter=True), requests=2),
    "max_tokens refused in words": Row(
        refuse("max_tokens", words="Unsupported: '{}'. Use 'max_completion_tokens' instead."), requests=2
    ),
    "max_tokens refused without its name": Row(refuse("max_tokens", words="extra fields not permitted"), requests=None),
    "temperature refused": Row(refuse("temperature", words="Only the default {} (1) is supported"), requests=2),
    "seed refused": Row(refuse("seed", words="property '{}' is unsupported", status=422), requests=2),
    "stream_options refused": Row(refuse("stream_options"), requests=2),
    "stream refused": Row(refuse("stream", words="streaming is not available to you"), requests=2),
    "schema refused": Row(
        refuse("response_format", words="This model does not support structured output"),
        options={"schema": SCHEMA},
        requests=2,
    ),
    "all refused one by one": Row(
        refuse("stream", "stream_options", "seed", "temperature", "max_tokens", "max_completion_tokens", words="no {}"),
        requests=None,
    ),
    "bad key": broken(
        ModelRefusedError, json_answer({"error": {"message": "Incorrect API key"}}, 401), "OPENAI_API_KEY"
    ),
    "redirect": broken(ModelRefusedError, Raw([], 301, headers={"Location": "http://x/v1"}), "http://x/v1"),
    "no money left": broken(
        ModelRefusedError,
        json_answer({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, 429),
        "quota",
    ),
    "context too small": broken(
        ModelRefusedError, json_answer({"error": {"message": "maximum context length is 8 tokens"}}, 400), "context"
    ),
    "no room after thoughts": Row(
        json_answer({"error": {"message": "Could not finish the message because max_tokens was reached"}}, 400),
        "",
        finish="length",
    ),
}

OLLAMA: Mapping[str, Row] = {
    "thoughts in their field": Row(ollama_stream({"thinking": THOUGHT, "content": ""}, {"content": TEXT})),
    "thoughts in tags": Row(ollama_stream({"content": f"<think>{THOUGHT}</think>"}, {"content": TEXT})),
    "content is missing": Row(ollama_stream({"tool_calls": []}), ""),
    "counts are missing": Row(ollama_stream({"content": TEXT})),
    "counts are null": Row(ollama_stream({"content": TEXT}, prompt_eval_count=None, eval_count=None)),
    "content is null": Row(ollama_stream({"content": None}, {"content": TEXT, "thinking": None})),
    "stream ignored": Row(json_answer({"message": {"role": "assistant", "content": TEXT}, "done": True})),
    "gzip": Row(compress(ollama_stream({"content": TEXT}))),
    "tool call only": Row(ollama_stream({"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}), ""),
    "a word for done_reason that nobody knows": Row(ollama_stream({"content": TEXT}, done_reason="because")),
    "every byte apart": Row(cut_everywhere(ollama_stream({"content": "日本 🚄"})), "日本 🚄"),
    "length": Row(ollama_stream({"content": TEXT}, done_reason="length"), finish="length"),
    "error in the middle": broken(
        ModelUnavailableError,
        Raw([ollama_stream({"content": TEXT}).chunks[0], b'{"error": "unexpected EOF"}\n']),
        "unexpected EOF",
    ),
    "cut": broken(ModelUnavailableError, Raw(ollama_stream({"content": TEXT}).chunks[:1], is_cut=True), "broke off"),
    "HTML": broken(ModelRefusedError, Raw([HTML], content_type="text/html"), "Bad Gateway"),
    "empty body": broken(ModelUnavailableError, Raw([]), "nothing at all"),
    "ended without an end": broken(
        ModelUnavailableError, Raw(ollama_stream({"content": TEXT}).chunks[:1]), "broke off"
    ),
    "error in a 200": broken(ModelRefusedError, json_answer({"error": "no such tool"}), "no such tool"),
    "refused by a proxy": broken(ModelRefusedError, Raw([HTML], 403, "text/html"), "403: 502 Bad Gateway nginx"),
    "refused in detail": broken(ModelRefusedError, json_answer({"detail": "not for you"}, 403), "not for you"),
    "refused by a list": broken(ModelRefusedError, json_answer(["not for you"], 403), "not for you"),
    "redirect": broken(ModelRefusedError, Raw([], 301, headers={"Location": "http://x/api"}), "http://x/api"),
    "broken gzip": broken(ModelRefusedError, Raw([b"\0\1\2"], headers={"Content-Encoding": "gzip"}), "encoding"),
    "JSON of something else": broken(ModelRefusedError, json_answer({"status": "ok"}), "message: Field required"),
    "a list": broken(ModelRefusedError, Raw([b"[1, 2]"]), "none of Ollama's API"),
    "seed refused": Row(refuse("seed", words="property '{}' is unsupported", status=422), requests=2),
    "stream refused": Row(stream_refused, requests=2),
    "schema refused": Row(
        refuse("format", words='invalid {}: must be "json" or empty'), options={"schema": SCHEMA}, requests=2
    ),
    "no such model": broken(
        ModelRefusedError, json_answer({"error": "model 'scripted' not found"}, 404), "ollama pull scripted"
    ),
    # What Ollama itself never sends and its client cannot carry: refused by name, and asked for once.
    "parts": broken(ModelRefusedError, ollama_stream({"content": [{"type": "text", "text": TEXT}]}), "message.content"),
    "role is missing": broken(
        ModelRefusedError, json_answer({"message": {"content": TEXT}, "done": True}), "message.role: Field required"
    ),
    "message is missing at the end": broken(
        ModelRefusedError,
        Raw([ollama_stream({"content": TEXT}).chunks[0], b'{"done": true}\n']),
        "message: Field required",
    ),
    "done_reason is a number": broken(
        ModelRefusedError, ollama_stream({"content": TEXT}, done_reason=7), "done_reason: Input should be"
    ),
    "arguments of a tool as text": broken(
        ModelRefusedError,
        ollama_stream({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
        "message.tool_calls.0.function.arguments",
    ),
    "an object over many lines": broken(
        ModelRefusedError,
        Raw([json.dumps({"message": {"role": "assistant", "content": TEXT}}, indent=2).encode()]),
        "not JSON",
    ),
    "server-sent events": broken(ModelRefusedError, openai_stream({"content": TEXT}), "not JSON.*data:"),
    "a byte order mark": broken(
        ModelRefusedError, Raw([b"\xef\xbb\xbf", *ollama_stream({"content": TEXT}).chunks]), "not JSON"
    ),
    "a raw line separator in the text": broken(
        ModelRefusedError,
        Raw(['{"message": {"role": "assistant", "content": "one\u2028two"}}\n'.encode()]),
        'not JSON of Ollama.s API: {"message": {"role": "assistant", "content": "one',
    ),
    "error as an object in a 200": broken(
        ModelRefusedError, json_answer({"error": {"message": "no such tool"}}), "none of Ollama's API"
    ),
}

JSON_TEXTS: Mapping[str, str] = {
    "fenced": f"```json\n{json.dumps(POINT)}\n```",
    "with words around": f"Here is my answer:\n{json.dumps(POINT)}\nI hope it helps.",
    "curly quotes in a key": json.dumps(POINT, ensure_ascii=False).replace('"point"', "“point”"),
    "a comma too many": json.dumps(POINT)[:-1] + ",}",
    "after thoughts": f'<think>{{"not": "this"}}</think>{json.dumps(POINT)}',
    "plain": json.dumps(POINT),
}


def open_model(kind: str, server: ScriptedServer) -> Model:
    if kind == "ollama":
        return OllamaModel("scripted", host=server.url)
    return OpenAIModel("openai:scripted", model="scripted", base_url=f"{server.url}/v1", tuning=Tuning(temperature=0.5))


async def complete(
    kind: str, script: Callable[[Call], Answer | Raw], limits: Limits = LIMITS, **options: Any
) -> tuple[Completion, ScriptedServer]:
    with ScriptedServer(script) as server:
        model = open_model(kind, server)
        try:
            return await model.complete(ASK, limits, seed=7, **options), server
        finally:
            await model.aclose()


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        *(pytest.param("openai", row, id=f"openai: {name}") for name, row in OPENAI.items()),
        *(pytest.param("ollama", row, id=f"ollama: {name}") for name, row in OLLAMA.items()),
    ],
)
async def test_answers_of_real_servers(kind: str, row: Row) -> None:
    """An answer comes as its text without thoughts, with tokens of both kinds; anything else as a ModelError in words.

    Whatever is shown while it is written has no thoughts in it either.
    """
    shown: list[str] = []
    with ScriptedServer(row.answer if callable(row.answer) else lambda _call: row.answer) as server:
        model = open_model(kind, server)
        try:
            if row.error is not None:
                with pytest.raises(row.error, match=row.words):
                    await model.complete(ASK, LIMITS, seed=7, **row.options)
                assert len(server.bodies) == row.requests
                return
            completion = await model.complete(ASK, LIMITS, seed=7, on_text=shown.append, **row.options)
        finally:
            await model.aclose()
        assert completion.text == row.text
        assert completion.prompt_tokens > 0
        assert completion.completion_tokens >= 0
        assert completion.finish_reason == row.finish
        assert row.requests is None or len(server.bodies) == row.requests
    assert all(THOUGHT not in text and "<" not in text for text in shown)
    assert shown[-1:] == ([row.text] if row.text else [])


@pytest.mark.parametrize("kind", ["openai", "ollama"])
@pytest.mark.parametrize("written", [pytest.param(text, id=name) for name, text in JSON_TEXTS.items()])
async def test_json_is_found(kind: str, written: str) -> None:
    """With a schema the text is JSON, whatever a model wrote around it; quotes within a value stay."""
    answer = ollama_stream({"content": written}) if kind == "ollama" else openai_stream({"content": written})
    completion, _ = await complete(kind, lambda _call: answer, schema=SCHEMA)
    assert json.loads(completion.text) == POINT


async def test_refusals_are_remembered() -> None:
    """What a server does not take is not sent to it again; what it took stays."""
    with ScriptedServer(refuse("max_tokens", "seed", words="unsupported: {}")) as server:
        model = open_model("openai", server)
        for _ in range(2):
            await model.complete(ASK, LIMITS, seed=7)
        await model.aclose()
    assert len(server.bodies) == 4
    assert server.bodies[-1].keys() >= {"max_completion_tokens", "temperature", "stream"}
    assert not {"max_tokens", "seed"} & server.bodies[-1].keys()


async def test_thinking_is_switched_off_and_budgeted_for() -> None:
    """A model that was seen thinking is told not to, and until it heeds has room for thoughts besides its answer."""
    script = in_turn(openai_stream({"reasoning_content": THOUGHT}, finish="length"), openai_stream({"content": TEXT}))
    with ScriptedServer(script) as server:
        model = open_model("openai", server)
        for _ in range(3):
            await model.complete(ASK, LIMITS, seed=7)
        await model.aclose()
    first, second, third = server.bodies
    assert "reasoning_effort" not in first
    assert second["chat_template_kwargs"] == {"enable_thinking": False}
    assert second["max_tokens"] > first["max_tokens"] == third["max_tokens"]


async def test_ollama_is_told_not_to_think() -> None:
    """`think` goes to models that Ollama says can think, and only to those."""
    with ScriptedServer() as server:
        server.show["capabilities"] = ["completion", "thinking"]
        model = open_model("ollama", server)
        await model.complete(ASK, LIMITS)
        await model.aclose()
    assert server.bodies[0]["think"] is False


async def test_ollama_gets_no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """OLLAMA_API_KEY, which Ollama's client would send anywhere, is no setting of Rostrum's and stays here."""
    monkeypatch.setenv("OLLAMA_API_KEY", "k-s3cret")
    _, server = await complete("ollama", lambda _call: ollama_stream({"content": TEXT}))
    assert "ollama-python" in server.headers[0]["user-agent"]
    assert "authorization" not in server.headers[0]


async def test_budget_that_does_not_fit_is_left_out() -> None:
    """A server whose context is too small for thoughts besides the answer is asked for the answer alone."""

    def script(call: Call) -> Raw:
        if call.number == 1:
            return openai_stream({"reasoning_content": THOUGHT}, finish="length")
        if call.body["max_tokens"] > 64:
            return json_answer({"error": {"message": "max_tokens is too large: the context length is 99"}}, 400)
        return openai_stream({"content": TEXT})

    with ScriptedServer(script) as server:
        model = open_model("openai", server)
        await model.complete(ASK, LIMITS)
        assert (await model.complete(ASK, LIMITS)).text == TEXT
        await model.aclose()


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_template_without_a_system(kind: str) -> None:
    """Where a model's template knows no system, its part is put before the question."""

    def script(call: Call) -> Raw:
        if call.messages[0].role == "system":
            return json_answer({"error": {"message": "System role not supported"}}, 400)
        return ollama_stream({"content": TEXT}) if kind == "ollama" else openai_stream({"content": TEXT})

    completion, server = await complete(kind, script)
    assert completion.text == TEXT
    assert server.bodies[1]["messages"] == [{"role": "user", "content": "Be brief.\n\nTrains or cars?"}]


@pytest.mark.parametrize(
    "answer",
    [
        json_answer({"error": {"message": "Incorrect API key provided: sk-s3cret"}}, 401),
        Raw([b"<p>no such key sk-s3cret</p>"], content_type="text/html"),
        Raw([openai_stream({"content": TEXT}).chunks[0], b'data: {"error": "sk-s3cret is spent"}\n\n']),
    ],
)
async def test_no_key_in_words(answer: Raw) -> None:
    """A server that repeats a key does not have it shown to those who read why a turn was forfeited."""
    with ScriptedServer(lambda _call: answer) as server:
        model = OpenAIModel("openai:x", model="x", base_url=f"{server.url}/v1", api_key="sk-s3cret")
        with pytest.raises(ModelError) as raised:
            await model.complete(ASK, LIMITS)
        await model.aclose()
    assert "s3cret" not in raised.value.message
    assert "***" in raised.value.message


def busy(status: int = 503, **headers: str) -> Raw:
    return json_answer({"error": {"message": "Loading model"}}, status, **headers)


BUSY = [
    pytest.param(busy(429, **{"Retry-After": "0"}), id="seconds"),
    pytest.param(busy(503, **{"Retry-After": format_datetime(datetime.now(UTC) - timedelta(hours=1))}), id="date"),
    pytest.param(busy(429, **{"retry-after-ms": "5"}), id="milliseconds"),
    pytest.param(busy(500, **{"Retry-After": "0"}), id="500 that loads"),
    pytest.param(json_answer({"error": "rate limit"}), id="as text inside a 200"),
    pytest.param(busy(), id="without"),
]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *(pytest.param(kind, *row.values, id=f"{row.id}-{kind}") for kind in ("openai", "ollama") for row in BUSY),
        pytest.param(
            "openai", json_answer({"error": {"message": "Rate limit", "code": 429}}), id="429 inside a 200-openai"
        ),
    ],
)
async def test_busy_server_is_waited_for(kind: str, answer: Raw, caplog: pytest.LogCaptureFixture) -> None:
    """Rate limits and loading are waited for within the call, which is one try, and the log says why."""
    whole = ollama_stream({"content": TEXT}) if kind == "ollama" else openai_stream({"content": TEXT})
    with caplog.at_level(logging.WARNING):
        completion, server = await complete(kind, in_turn(answer, whole))
    assert completion.text == TEXT
    assert len(server.bodies) == 2
    assert "waiting" in caplog.text


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_wait_that_is_too_long_is_not_begun(kind: str) -> None:
    """A server that wants to be asked again after the deadline is not waited for."""
    with pytest.raises(ModelUnavailableError, match="3600"):
        await complete(kind, lambda _call: busy(429, **{"Retry-After": "3600"}))


async def test_deadline_ends_the_wait() -> None:
    """What is waited for ends with the call's time, and the error says what it was."""
    with pytest.raises(ModelUnavailableError, match="Loading model"):
        await complete("openai", lambda _call: busy(), Limits(64, 1.5))


async def test_slow_first_token_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that holds the connection while it loads a model is waited for, and the log says so."""
    monkeypatch.setattr(chat, "SLOW_SECONDS", 0.05)
    with caplog.at_level(logging.WARNING):
        completion, _ = await complete("openai", lambda _call: Answer(text=TEXT, delay_seconds=0.5))
    assert completion.text == TEXT
    assert "may be loading" in caplog.text


async def test_busy_server_is_not_hammered() -> None:
    """One that says "at once" and means it never is asked ever less often."""
    with ScriptedServer(lambda _call: busy(429, **{"Retry-After": "0"})) as server:
        model = open_model("openai", server)
        with pytest.raises(ModelUnavailableError):
            await model.complete(ASK, Limits(64, 1.0))
        await model.aclose()
    assert len(server.bodies) <= 6


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_stalled_answer_is_left(kind: str) -> None:
    """An answer that has begun and does not go on is given up after the stall limit, and the server is left."""
    stream = ollama_stream({"content": TEXT}) if kind == "ollama" else openai_stream({"content": TEXT})
    with ScriptedServer(lambda _call: Raw(stream.chunks, pause_seconds=3600)) as server:
        model = open_model(kind, server)
        with pytest.raises(ModelUnavailableError, match="nothing more"):
            await model.complete(ASK, Limits(64, 60, stall_seconds=0.2))
        await asyncio.to_thread(server.wait_until, lambda one: one.hung_up == 1)
        await model.aclose()


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_cancelled_stream_is_left(kind: str) -> None:
    """Cancelling a call in the middle of its answer hangs up at the server, which then stops writing."""
    stream = ollama_stream({"content": TEXT}) if kind == "ollama" else openai_stream({"content": TEXT})
    begun = asyncio.Event()
    with ScriptedServer(lambda _call: Raw(stream.chunks, pause_seconds=3600)) as server:
        model = open_model(kind, server)
        task = asyncio.create_task(model.complete(ASK, LIMITS, on_text=lambda _text: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_until, lambda one: one.hung_up == 1)
        await model.aclose()


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_fault_of_an_adapter_is_a_refusal(kind: str) -> None:
    """Whatever goes wrong in an adapter is a ModelRefusedError: nothing crashes, and nothing is paid for again."""

    def fail(_text: str) -> None:
        raise ZeroDivisionError

    answer = ollama_stream({"content": TEXT}) if kind == "ollama" else openai_stream({"content": TEXT})
    with pytest.raises(ModelRefusedError, match="ZeroDivisionError"):
        await complete(kind, lambda _call: answer, on_text=fail)
