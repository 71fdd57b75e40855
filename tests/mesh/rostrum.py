"""The mesh as it is shipped, run by this tier: its texts, everything that can be called in it, and who calls.

What is expected of a call is said by the edges alone (tests.support.edges), never by the policies' text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mesh.sidecar.mesh import MeshSettings
from tests.manifests import sources
from tests.support.edges import ANYBODY, OUTSIDE, Edge, edges
from tests.support.mesh import RunningMesh, running
from tests.support.mesh_tokens import GOOD, Tokens

NAMESPACE = sources.NAMESPACE
PORTS = {
    name: sources.the("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
    for name in sources.BEHIND_THE_INGRESS
}
"""Port of each workload behind the ingress."""
RPCS = sorted(
    {sources.path_of(method) for service in sources.SERVED.values() for method in service.methods}
    | sources.HEALTH
    | sources.REFLECTION
)
HTTP_PATHS = ["/", "/health", "/v1/models", *sorted({path for _, path, _ in sources.HTTP})]
BY_GRPC = sorted(sources.SERVED)
BY_HTTP = sorted(PORTS.keys() - sources.SERVED.keys())
TOKEN_READERS = {
    name
    for name, deployment in sources.of_kind("Deployment").items()
    if deployment["spec"]["template"]["metadata"]["labels"].get("rostrum.dev/tokens") == "read"
}
"""Workloads that look at tokens."""


def shipped() -> dict[str, str]:
    """The texts of k8s/base and istio/."""
    return sources.texts(sources.BASE, sources.ISTIO / "base", sources.SERVICES)


@contextmanager
def rostrum(texts: Mapping[str, str], home: Path) -> Iterator[tuple[RunningMesh, Tokens]]:
    """Yields the mesh of these texts, and tokens that are for it."""
    tokens = Tokens(home / "own", home / "another")
    with running(texts, namespace=NAMESPACE, settings=MeshSettings(jwks=tokens.jwks)) as mesh:
        yield mesh, tokens


class Rights:
    """What the edges of some texts allow."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.edges = edges(texts, namespace=NAMESPACE)

    def allow(self, caller: str, callee: str, path: str, verb: str, token: str) -> bool:
        """Whether there is an edge for that. `verb`: the HTTP method; `token`: its kind."""
        return any(self._fits(edge, caller, callee, path, verb, token) for edge in self.edges)

    def _fits(self, edge: Edge, caller: str, callee: str, path: str, verb: str, token: str) -> bool:
        return (
            edge.caller in {caller, ANYBODY}
            and edge.callee == callee
            and (path.startswith(edge.target[:-1]) if edge.target.endswith("*") else path == edge.target)
            and edge.verb in {verb, "CALL"}
            and (not edge.roles or GOOD.get(token) in edge.roles)
        )

    def is_let_in(self, path: str, verb: str, token: str) -> bool:
        """Whether the ingress lets that in."""
        return self.allow(OUTSIDE, "ingress", path, verb, token)
