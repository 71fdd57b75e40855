"""The matrix: every caller against everything that can be called, by real calls, held to what the edges say.

Each part returns the cells in which the mesh and the edges differ; none is what a test wants. Used by test_matrix.py
on the mesh as it is shipped, and on ones whose policies were loosened.
"""

from __future__ import annotations

import http.client
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from mesh.local.certificates import Authority, Identity
from tests.manifests import sources
from tests.mesh.rostrum import BY_GRPC, BY_HTTP, HTTP_PATHS, NAMESPACE, PORTS, RPCS, TOKEN_READERS, Rights
from tests.support import mesh_calls as calls
from tests.support.mesh import RunningMesh
from tests.support.mesh_tokens import STATUS, Tokens

PATHS = (*RPCS, *HTTP_PATHS)
ALLOWED = "allowed"
AT_THE_INGRESS = " at the ingress"
_CODES = {
    grpc.StatusCode.OK: ALLOWED,
    grpc.StatusCode.UNAUTHENTICATED: "401",
    grpc.StatusCode.PERMISSION_DENIED: "403",
    grpc.StatusCode.UNIMPLEMENTED: "404",
}
_PROBES = itertools.count()


@dataclass(frozen=True, order=True)
class Cell:
    """One call of one account with one kind of token."""

    caller: str
    token: str
    callee: str
    verb: str
    path: str


Differences = dict[Cell, str]


@dataclass(frozen=True)
class Matrix:
    """A mesh that runs, and the rights that it is held to."""

    mesh: RunningMesh
    tokens: Tokens
    rights: Rights

    def cells(self, accounts: Iterable[str], callees: Iterable[str]) -> list[Cell]:
        """Everything that these could call: RPCs of every service, health, reflection, the models' paths."""
        return [
            Cell(account, token, callee, verb, path)
            for account, callee, token, path in itertools.product(accounts, callees, self.tokens.kinds, PATHS)
            for verb in (("GET", "POST") if callee in BY_HTTP else ("POST",))
        ]

    def between_pods(self, accounts: Iterable[str], callees: Iterable[str]) -> Differences:
        """Where calls to the callees' own ports, by the accounts' certificates, are not as the edges say."""
        found: Differences = {}
        for (account, callee), cells in itertools.groupby(
            self.cells(accounts, callees), key=lambda cell: (cell.caller, cell.callee)
        ):
            call = self._by_grpc if callee in BY_GRPC else self._by_http
            for cell, got in call(account, callee, cells):
                if got != (want := self._expected(cell)):
                    found[cell] = f"{got}, not {want}"
        return found

    def _expected(self, cell: Cell) -> str:
        """What the edges say. A token that is bad counts wherever tokens are read, whatever else is right."""
        if cell.callee in TOKEN_READERS and cell.token in STATUS:
            return str(STATUS[cell.token])
        return ALLOWED if self.rights.allow(cell.caller, cell.callee, cell.path, cell.verb, cell.token) else "403"

    def _by_grpc(self, account: str, callee: str, cells: Iterable[Cell]) -> Iterator[tuple[Cell, str]]:
        pod, identity = self.mesh.pod(callee), self.mesh.identity(account)
        with calls.channel(pod.ip, PORTS[callee], self.mesh.authority, identity) as channel:
            for cell in cells:
                probe = str(next(_PROBES))
                outcome = calls.rpc(channel, cell.path, b"", [*self.tokens.headers(cell.token), ("x-probe", probe)])
                yield cell, self._seen(cell, probe, _CODES.get(outcome.code, str(outcome)))

    def _by_http(self, account: str, callee: str, cells: Iterable[Cell]) -> Iterator[tuple[Cell, str]]:
        context = calls.tls_context(self.mesh.authority, self.mesh.identity(account))
        ip = self.mesh.pod(callee).ip
        connection = http.client.HTTPSConnection(ip, PORTS[callee], timeout=calls.SECONDS, context=context)
        try:
            for cell in cells:
                probe = str(next(_PROBES))
                headers = dict([*self.tokens.headers(cell.token), ("x-probe", probe)])
                connection.request(cell.verb, cell.path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                yield cell, self._seen(cell, probe, ALLOWED if answer.status == 200 else str(answer.status))
        finally:
            connection.close()

    def _seen(self, cell: Cell, probe: str, outcome: str) -> str:
        """The outcome, if the app knows the same: it saw what was allowed, by its caller's name, and nothing else."""
        name = f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/{cell.caller}"
        seen = [
            (request.pod, request.path, [name in value.split(";") for value in request.all("x-forwarded-client-cert")])
            for request in self.mesh.script.probed(probe)
        ]
        wanted = [(f"{cell.callee}-0", cell.path, [True])] if outcome == ALLOWED else []
        return outcome if seen == wanted else f"{outcome}, but the app saw {seen}"

    # ---- those who are nobody ----

    def strangers(self, callee: str, folder: Path) -> Differences:
        """Which calls get an answer though their caller has no certificate of this mesh, or speaks plaintext.

        `folder`: for another authority.
        """
        found: Differences = {}
        place = self.mesh.pod(callee).ip, PORTS[callee]
        contexts = {
            who: calls.tls_context(self.mesh.authority, identity, ("istio", "http/1.1"))
            for who, identity in _strangers(self.mesh, folder).items()
        }
        self.mesh.script.clear()
        for who, path in itertools.product([*contexts, "plaintext"], PATHS):
            headers = self.tokens.headers("operator")
            outcome = calls.request(place, "POST", path, headers=headers, context=contexts.get(who))
            if outcome.status:
                found[Cell(who, "operator", callee, "POST", path)] = f"{outcome.status}, not no connection"
        for seen in self.mesh.script.seen:
            found[Cell("a stranger", "operator", callee, "POST", seen.path)] = "the app saw it"
        return found

    # ---- the ingress ----

    def from_outside(self, authority: str) -> Differences:
        """Where RPCs by the ingress, at this authority, are not as the edges say.

        Two edges allow one: of the outside to the ingress, and of the ingress to who is behind. What the first one
        forbids is to be refused at the ingress itself.
        """
        found: Differences = {}
        with calls.plain_channel(f"{self.mesh.pod('ingress').ip}:8080", authority) as channel:
            for token, path in itertools.product(self.tokens.kinds, RPCS):
                probe = str(next(_PROBES))
                outcome = calls.rpc(channel, path, b"", [*self.tokens.headers(token), ("x-probe", probe)])
                got = _CODES.get(outcome.code, str(outcome))
                if got != ALLOWED and "x-envoy-upstream-service-time" not in dict(outcome.metadata):
                    got += AT_THE_INGRESS
                cell = Cell("ingress", token, _behind(authority, path), "POST", path)
                got, want = self._seen(cell, probe, got), self._expected_outside(cell)
                if path in sources.REFLECTION:  # an answer before the request's end does not say whose it is
                    got, want = got.removesuffix(AT_THE_INGRESS), want.removesuffix(AT_THE_INGRESS)
                if got != want:
                    found[cell] = f"{got}, not {want}: {outcome.details}"
        return found

    def _expected_outside(self, cell: Cell) -> str:
        if cell.token in STATUS:
            return f"{STATUS[cell.token]}{AT_THE_INGRESS}"
        if not self.rights.is_let_in(cell.path, "POST", cell.token):
            return f"403{AT_THE_INGRESS}"
        return self._expected(cell) if cell.callee else f"404{AT_THE_INGRESS}"


def _strangers(mesh: RunningMesh, folder: Path) -> dict[str, Identity | None]:
    """Certificates that are none, each with the name of whom may do the most."""
    name = f"spiffe://cluster.local/ns/{NAMESPACE}/sa/ingress"
    two_days_ago = datetime.now(UTC) - timedelta(days=2)
    elsewhere = name.replace("cluster.local", "cluster.local.elsewhere.org")
    return {
        "no certificate": None,
        "another CA's": Authority.open(folder / "another authority").issue(name),
        "another trust domain's": mesh.authority.issue(name.replace("cluster.local", "elsewhere.org")),
        "a longer trust domain's": mesh.authority.issue(elsewhere),
        "an expired one": mesh.authority.issue(name, timedelta(hours=1), now=two_days_ago),
        "a future one": mesh.authority.issue(name, now=datetime.now(UTC) + timedelta(days=2)),
        "one of Kafka": mesh.authority.issue_kafka("ingress"),
    }


def _behind(authority: str, path: str) -> str:
    """Who serves that path for that authority; empty if nobody does."""
    service = path.split("/")[1]
    if service.startswith("rostrum.debate"):
        return "moderator"
    if service.startswith("rostrum.agent"):
        return authority if authority in sources.AGENTS else ""
    return authority
