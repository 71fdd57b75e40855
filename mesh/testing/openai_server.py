"""A real HTTP server that speaks OpenAI's and Ollama's chat APIs and answers as it is scripted.

Tests of the adapters, and of services that run as processes of their own, point at it. The answers are those of
`scripted_model`, streamed if that is asked for; over HTTP "unavailable" is status 500, "refused" is 400, a slow answer
keeps the connection open, and `hung_up` counts the clients that left before theirs had come whole. A `Raw` answer is
whatever bytes a server may send; `mesh.testing.misbehaviour` has many. It listens on loopback only.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from mesh.llm.port import Message
from mesh.testing.scripted_model import USUAL, Answer, Call, split_pieces, usual_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

TEXT_BYTES = 400


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as bytes."""

    chunks: Sequence[bytes]
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.0
    """Between two chunks."""
    is_cut: bool = False
    """Whether the connection is closed before the end is said."""


def stream_lines(values: Iterable[Mapping[str, Any]], *, ollama: bool) -> list[bytes]:
    """Returns the chunks of a well-behaved stream of these objects."""
    if ollama:
        return [json.dumps(value).encode() + b"\n" for value in values]
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values] + [b"data: [DONE]\n\n"]


class ScriptedServer:
    """The server, in threads of its own, from `with` to the end of it."""

    def __init__(
        self,
        script: Callable[[Call], Answer | Raw] = lambda _call: USUAL,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script: Callable[[Call], Answer | Raw] = script
        self.show: dict[str, Any] = {"capabilities": ["completion"], "model_info": {"scripted.context_length": 32_768}}
        """What /api/show answers of the model "scripted"."""
        self.paths: dict[str, Any] = {
            "/health": {"status": "ok"},
            "/v1/models": {"object": "list", "data": [{"id": "scripted", "object": "model"}]},
            "/api/tags": {"models": [{"model": "scripted:latest", "name": "scripted:latest"}]},
            "/api/ps": {"models": []},
        }
        """What a GET of each path answers."""
        self.headers: list[dict[str, str]] = []
        """Of every request of a completion, in lower case."""
        self.bodies: list[dict[str, Any]] = []
        """Every request of a completion, as it came."""
        self.hung_up = 0
        self._changed = threading.Condition()
        self._http = _Http((host, port), _Handler)
        self._http.daemon_threads = True
        self._http.scripted = self
        self._scheme = "https" if tls else "http"
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        """What OLLAMA_HOST would be; OPENAI_BASE_URL is this and "/v1"."""
        host, port = self._http.server_address[:2]
        return f"{self._scheme}://{host!s}:{port}"

    def start(self) -> None:
        """Serves from now on, in a thread that ends with the process if nothing else ends it."""
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> ScriptedServer:
        self.start()
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

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that left; that is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def do_GET(self) -> None:
        found = self.server.scripted.paths.get(self.path)
        self._send(404 if found is None else 200, {"error": "no such path"} if found is None else found)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        scripted = self.server.scripted
        if self.path == "/api/show":
            known = str(body["model"]).partition(":")[0] == "scripted"
            self._send(
                200 if known else 404, scripted.show if known else {"error": f"model '{body['model']}' not found"}
            )
            return
        scripted.headers.append({name.lower(): value for name, value in self.headers.items()})
        number = scripted.note(body=body)
        ollama = self.path == "/api/chat"
        if not ollama and self.path != "/v1/chat/completions":
            self._send(404, {"error": "no such path"})
            return
        call = _call(body, number, ollama=ollama)
        answer = scripted.script(call)
        if isinstance(answer, Raw):
            self._send_raw(answer)
        elif answer.delay_seconds and not self._client_waits(answer.delay_seconds):
            self._leave()
        elif answer.unavailable:
            self._send(500, {"error": "scripted to fail"})
        elif answer.refused:
            self._send(400, {"error": "scripted to refuse"})
        else:
            text = usual_text(call, TEXT_BYTES) if answer.text is None else answer.text
            if body.get("stream", ollama):
                values = (ollama_pieces if ollama else openai_pieces)(call, text)
                pause_seconds = answer.pause_seconds
                self._send_raw(Raw(stream_lines(values, ollama=ollama), pause_seconds=pause_seconds))
            else:
                self._send(200, _ollama_answer(call, text) if ollama else _openai_answer(call, text))

    def _send_raw(self, answer: Raw) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for count, chunk in enumerate(answer.chunks):
                if count and answer.pause_seconds and not self._client_waits(answer.pause_seconds):
                    self._leave()
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if answer.is_cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self._leave()

    def _leave(self) -> None:
        self.server.scripted.note(hung_up=1)
        self.close_connection = True

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
        return Call(messages, body.get("options", {}).get("seed"), body.get("format"), number, body)
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return Call(messages, body.get("seed"), schema, number, body)


def openai_pieces(call: Call, text: str) -> list[dict[str, Any]]:
    """Returns the objects of a stream as OpenAI sends them: the counts in the last, if they were asked for."""
    head = {"id": f"scripted-{call.number}", "object": "chat.completion.chunk", "created": 0, "model": "scripted"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in split_pieces(text)]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    usage = _openai_answer(call, text)["usage"]
    return [*({**head, "choices": [choice]} for choice in choices), {**head, "choices": [], "usage": usage}]


def ollama_pieces(call: Call, text: str) -> list[dict[str, Any]]:
    """Returns the objects of a stream as Ollama sends them."""
    last = _ollama_answer(call, text)
    head: dict[str, Any] = {"model": "scripted", "created_at": last["created_at"], "done": False}
    messages = [{"role": "assistant", "content": piece} for piece in split_pieces(text)]
    return [
        *({**head, "message": message} for message in messages),
        {**last, "message": {"role": "assistant", "content": ""}},
    ]


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
