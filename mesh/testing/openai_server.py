"""A real HTTP server that speaks OpenAI's and Ollama's chat APIs and answers as it is scripted.

Tests of the adapters, and of services that run as processes of their own, point at it. The answers are those of
`scripted_model`; over HTTP "unavailable" is status 500, "refused" is 400, a slow answer keeps the connection open, and
`hung_up` counts the clients that left before theirs came. It listens on loopback only.
"""

from __future__ import annotations

import json
import select
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from mesh.llm.port import Message
from mesh.testing.scripted_model import USUAL, Answer, Call, usual_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

TEXT_BYTES = 400


class ScriptedServer:
    """The server, in threads of its own, from `with` to the end of it."""

    def __init__(self, script: Callable[[Call], Answer] = lambda _call: USUAL, *, host: str = "127.0.0.1") -> None:
        self.script = script
        self.bodies: list[dict[str, Any]] = []
        """Every request of a completion, as it came."""
        self.hung_up = 0
        self._changed = threading.Condition()
        self._http = _Http((host, 0), _Handler)
        self._http.daemon_threads = True
        self._http.scripted = self

    @property
    def url(self) -> str:
        """What OLLAMA_HOST would be; OPENAI_BASE_URL is this and "/v1"."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def wait_until(self, condition: Callable[[ScriptedServer], bool], seconds: float = 10.0) -> None:
        """Blocks until the condition holds. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), seconds):
                raise TimeoutError

    def note(self, *, body: dict[str, Any] | None = None, hung_up: int = 0) -> int:
        """Records what a handler saw; returns the number of requests so far."""
        with self._changed:
            if body is not None:
                self.bodies.append(body)
            self.hung_up += hung_up
            self._changed.notify_all()
            return len(self.bodies)


class _Http(ThreadingHTTPServer):
    scripted: ScriptedServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        paths = {
            "/health": {"status": "ok"},
            "/v1/models": {"object": "list", "data": [{"id": "scripted", "object": "model"}]},
            "/api/tags": {"models": [{"model": "scripted:latest", "name": "scripted:latest"}]},
        }
        found = paths.get(self.path)
        self._send(200 if found else 404, found or {"error": "no such path"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        scripted = self.server.scripted
        number = scripted.note(body=body)
        ollama = self.path == "/api/chat"
        if not ollama and self.path != "/v1/chat/completions":
            self._send(404, {"error": "no such path"})
            return
        call = _call(body, number, ollama=ollama)
        answer = scripted.script(call)
        if answer.delay_seconds and not self._client_waits(answer.delay_seconds):
            scripted.note(hung_up=1)
            self.close_connection = True
        elif answer.unavailable:
            self._send(500, {"error": "scripted to fail"})
        elif answer.refused:
            self._send(400, {"error": "scripted to refuse"})
        else:
            text = usual_text(call, TEXT_BYTES) if answer.text is None else answer.text
            self._send(200, _ollama_answer(call, text) if ollama else _openai_answer(call, text))

    def _client_waits(self, seconds: float) -> bool:
        """Waits that long; returns early, and False, when the client hangs up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 1.0))
            if readable:
                return False
        return True

    def _send(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing."""


def _call(body: dict[str, Any], number: int, *, ollama: bool) -> Call:
    messages = tuple(Message(message["role"], message["content"]) for message in body["messages"])
    if ollama:
        return Call(messages, body.get("options", {}).get("seed"), body.get("format"), number)
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return Call(messages, body.get("seed"), schema, number)


def _openai_answer(call: Call, text: str) -> dict[str, Any]:
    return {
        "id": f"scripted-{call.number}",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {
            "prompt_tokens": max(1, len(call.text) // 4),
            "completion_tokens": max(1, len(text) // 4),
            "total_tokens": max(1, len(call.text) // 4) + max(1, len(text) // 4),
        },
    }


def _ollama_answer(call: Call, text: str) -> dict[str, Any]:
    return {
        "model": "scripted",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": max(1, len(call.text) // 4),
        "eval_count": max(1, len(text) // 4),
    }
