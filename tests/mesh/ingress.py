"""The ingress as it is shipped, asked by REST and gRPC; used by the tests of it in this folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tests.support import mesh_calls as calls
from tests.support.mesh import RunningMesh
from tests.support.mesh_apps import FailedError, Seen
from tests.support.mesh_tokens import Tokens

DEBATES = "/rostrum.debate.v1.DebateService"
AGENTS = "/rostrum.agent.v1.AgentService"


@dataclass(frozen=True)
class Ingress:
    """The ingress of a running mesh."""

    mesh: RunningMesh
    tokens: Tokens
    probe: str = ""
    """Sent with every call of one test: a call that ended at the ingress may still arrive when the next test runs."""

    @property
    def seen(self) -> list[Seen]:
        """What the apps saw of this test."""
        return self.mesh.script.probed(self.probe)

    def headers(self, brings: str) -> list[tuple[str, str]]:
        """A token of that kind, and the probe."""
        return [*self.tokens.headers(brings), ("x-probe", self.probe)]

    @property
    def place(self) -> tuple[str, int]:
        """Where it listens."""
        return self.mesh.pod("ingress").ip, 8080

    def rest(
        self, method: str, path: str, body: object = None, *, brings: str = "operator", **more: Any
    ) -> calls.Outcome:
        """A request with JSON."""
        sent = b"" if body is None else json.dumps(body).encode()
        headers = [*self.headers(brings), ("content-type", "application/json"), *more.get("headers", ())]
        return calls.request(self.place, method, path, host="localhost:8080", headers=headers, body=sent)

    def rpc(
        self, path: str, message: bytes = b"", *, authority: str = "", brings: str = "operator"
    ) -> calls.RpcOutcome:
        """An RPC."""
        with calls.plain_channel(f"{self.place[0]}:{self.place[1]}", authority) as channel:
            return calls.rpc(channel, path, message, self.headers(brings))


def answers(ingress: Ingress, path: str, *messages: Message) -> list[bytes]:
    """Has an RPC answer with these; returns the list of requests that it gets from now on."""
    got: list[bytes] = []

    def answer(request: bytes) -> Sequence[bytes]:
        got.append(request)
        return [message.SerializeToString() for message in messages]

    ingress.mesh.script.answers[path] = answer
    return got


def fails(ingress: Ingress, path: str, code: int, message: str = "no", reason: str = "") -> None:
    """Has an RPC fail."""
    status = status_pb2.Status(code=code, message=message)
    if reason:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="rostrum.dev"))
        status.details.append(detail)

    def answer(_: bytes) -> Sequence[bytes]:
        raise FailedError(status)

    ingress.mesh.script.answers[path] = answer
