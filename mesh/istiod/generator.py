"""istiod's own answer to a set of manifests, by a running oracle: asked often by tests, once by `rostrum config`.

Owns the conversation with the program, and the mesh settings that ours are compared under.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesh.istiod.building import built

MESH_CONFIG: Mapping[str, Any] = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}, "accessLogEncoding": "JSON"}
"""MeshConfig of istiod under which it is like ours: unknown hosts are refused, and logs are read by machines first."""


class IstiodError(Exception):
    """istiod refused an input, or could not make anything of it. The message is istiod's own."""


@dataclass(frozen=True)
class Config:
    """What istiod sends to one proxy: Envoy's resources as its JSON, each list in the order of names."""

    listeners: Sequence[dict[str, Any]] = ()
    clusters: Sequence[dict[str, Any]] = ()
    routes: Sequence[dict[str, Any]] = ()
    endpoints: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Review:
    """What a cluster says of the Istio resources of one file when they are applied: all empty if they are taken."""

    schema: str = ""
    """The API server's refusal, by the schema and the rules of the custom resource's definition."""
    webhook: str = ""
    """istiod's own refusal: its reader's or its validation's."""
    warning: str = ""
    """What istiod remarks on a resource that it takes."""

    @property
    def is_taken(self) -> bool:
        """Whether nobody refuses."""
        return not (self.schema or self.webhook)


@dataclass(frozen=True)
class Places:
    """Addresses that both sides are to use: pods' by namespace/workload, Services' by namespace/name."""

    pods: Mapping[str, Sequence[str]] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)


class Istiod:
    """A running oracle. Not safe for threads: one question at a time."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log, self._asked = process, log, 0

    def translate(
        self,
        files: Mapping[str, str],
        *,
        namespace: str = "default",
        places: Places = Places(),
        mesh_config: str = "",
        jwks: Mapping[str, str] | None = None,
    ) -> Mapping[str, Config]:
        """Returns what each workload's first pod gets, by namespace/workload. `files` maps names to YAML texts.

        `namespace` is that of documents which name none; `mesh_config` is YAML laid over istiod's defaults; `jwks`
        are key sets by jwksUri (any other is one that nobody can sign for). Raises IstiodError.
        """
        question = {
            "files": dict(files),
            "namespace": namespace,
            "addresses": {
                "pods": {name: list(addresses) for name, addresses in places.pods.items()},
                "services": dict(places.services),
            },
            "meshConfig": mesh_config,
            "jwks": dict(jwks or {}),
        }
        return {name: Config(**config) for name, config in self._ask(question).get("pods", {}).items()}

    def review(self, files: Mapping[str, str]) -> Mapping[str, Review]:
        """Returns what a cluster would say of the Istio resources of each file. Raises IstiodError."""
        reviews = self._ask({"files": dict(files), "review": True})["reviews"]
        return {name: Review(**review) for name, review in reviews.items()}

    def _ask(self, question: Mapping[str, Any]) -> Any:
        self._asked += 1
        answer = self._exchange(json.dumps({"id": str(self._asked), **question}).encode() + b"\n")
        if answer["id"] != str(self._asked):
            raise RuntimeError("an answer to another question: is the oracle shared by threads?")
        if answer.get("error"):
            raise IstiodError(answer["error"])
        return answer

    def _exchange(self, line: bytes) -> Any:
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            status = self._process.wait()
            raise RuntimeError(f"the oracle ended with status {status}:\n{self._log.read_text()[-4000:]}")
        return json.loads(answer)


@contextmanager
def running(folder: Path, say: Callable[[str], None]) -> Iterator[Istiod]:
    """Starts the oracle, built first if it must be, with its log in `folder`; ends it with the block.

    It ends by itself when its input does, so that it outlives nobody.

    Reports to `say` what takes long. Raises MissingPartError as `built` does.
    """
    binary = built(say)
    log = folder / "oracle.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            yield Istiod(process, log)
        finally:
            process.kill()
