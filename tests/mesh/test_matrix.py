"""Every caller against everything that can be called, at the sidecars' own ports and at the ingress: 100 %.

Expected is what the edges of the manifests say, and each cell is a real call of a real Envoy (tests.mesh.matrix). That
the matrix finds a policy that was loosened is tested with policies that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.manifests.texts import dump_texts, parse_text
from tests.manifests import sources
from tests.mesh.matrix import Matrix
from tests.mesh.rostrum import BY_GRPC, PORTS, Rights, rostrum, shipped
from tests.support import mesh_calls as calls

Document = dict[str, Any]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """The mesh as it is shipped and its rights, for all tests of this file; those that change it put it back."""
    with rostrum(shipped(), tmp_path_factory.mktemp("tokens")) as (mesh, tokens):
        yield Matrix(mesh, tokens, Rights(shipped()))


@pytest.mark.parametrize("account", sources.WORKLOADS)
def test_every_call_between_pods_is_as_the_manifests_say(account: str, matrix: Matrix) -> None:
    """An account's certificate, with any token or none, can do what an edge says and nothing else; each refusal is
    403, or 401 for a token that is none, and the app saw just what was allowed, by its caller's true name."""
    assert matrix.between_pods([account], PORTS) == {}


@pytest.mark.parametrize("callee", sorted(PORTS))
def test_strangers_get_no_connection(callee: str, matrix: Matrix, tmp_path: Path) -> None:
    """Without a certificate of this mesh, or without TLS, every call of every path ends with the connection, though it
    brings an operator's token and the name of the ingress."""
    known = calls.tls_context(matrix.mesh.authority, matrix.mesh.identity("team-b"))
    outcome = calls.request((matrix.mesh.pod(callee).ip, PORTS[callee]), "POST", "/nothing", context=known)
    assert outcome.status == 403, "a pod of the mesh gets an answer there"
    assert matrix.strangers(callee, tmp_path) == {}


@pytest.mark.parametrize("authority", BY_GRPC)
def test_every_call_from_outside_is_as_the_manifests_say(authority: str, matrix: Matrix) -> None:
    """Each RPC by the ingress with each kind of token: two edges allow it, what the first forbids ends at the ingress,
    and the app sees the ingress as its caller."""
    assert matrix.from_outside(authority) == {}


def test_every_edge_is_tried(matrix: Matrix) -> None:
    """No edge is outside of the matrix: each is what allows one of its cells."""
    tried = {(cell.caller, cell.callee, cell.path) for cell in matrix.cells(sources.WORKLOADS, PORTS)}
    inside = {
        (edge.caller, edge.callee, edge.target)
        for edge in matrix.rights.edges
        if edge.callee in PORTS  # those of the ingress are tried from outside, those to topics with Kafka
    }
    assert inside
    assert inside - tried == set()


# ---- the matrix finds what is loosened ----


def _to_anybody(policy: Document) -> None:
    policy["spec"]["rules"][0]["from"][0]["source"]["principals"] = ["cluster.local/ns/rostrum/sa/*"]


def _to_one_more(policy: Document) -> None:
    policy["spec"]["rules"][0]["from"][0]["source"]["principals"].append("cluster.local/ns/rostrum/sa/team-b")


def _any_path(policy: Document) -> None:
    policy["spec"]["rules"][0]["to"][0]["operation"]["paths"].append("/rostrum.agent.v1.AgentService/*")


def _any_method(policy: Document) -> None:
    del policy["spec"]["rules"][0]["to"][0]["operation"]["methods"]


def _no_role(policy: Document) -> None:
    for rule in policy["spec"]["rules"]:
        del rule["when"]


def _viewers_too(policy: Document) -> None:
    policy["spec"]["rules"][1]["when"][0]["values"].append("viewer")


def _everything(policy: Document) -> None:
    policy["spec"] = {"rules": [{}]}


def _anybody_at_the_ingress(policy: Document) -> None:
    del policy["spec"]["rules"][0]["from"], policy["spec"]["rules"][0]["when"]


LOOSENED = {
    "a rule for anybody": ("AuthorizationPolicy", "moderator-from-team-a", _to_anybody, "moderator"),
    "a rule for one more": ("AuthorizationPolicy", "embeddings", _to_one_more, "embeddings"),
    "a rule for a whole service": ("AuthorizationPolicy", "team-a", _any_path, "team-a"),
    "a rule for any method": ("AuthorizationPolicy", "embeddings", _any_method, "embeddings"),
    "no role asked for": ("AuthorizationPolicy", "moderator", _no_role, "moderator"),
    "viewers may do what operators may": ("AuthorizationPolicy", "team-b", _viewers_too, "team-b"),
    "the namespace's policy allows everything": ("AuthorizationPolicy", "default", _everything, "team-b"),
    "an ingress that lets anybody in": ("AuthorizationPolicy", "ingress", _anybody_at_the_ingress, "moderator"),
}


def _changed(kind: str, name: str, change: Callable[[Document], None]) -> dict[str, str]:
    """The texts as they are shipped but for one document."""
    found, hits = {}, 0
    for file, text in shipped().items():
        documents = [document for document in parse_text(text, file) if document]
        for document in documents:
            if (document["kind"], document.get("metadata", {}).get("name")) == (kind, name):
                change(document)
                hits += 1
        found[file] = dump_texts(documents)
    assert hits == 1, f"{hits} documents are {kind} {name}"
    return found


@pytest.fixture
def loosened(matrix: Matrix) -> Iterator[Callable[..., Matrix]]:
    """Makes texts active that are shipped but for one document; returns the matrix with the rights that those say."""

    def change(kind: str, name: str, how: Callable[[Document], None]) -> Matrix:
        texts = _changed(kind, name, how)
        matrix.mesh.apply(texts)
        return Matrix(matrix.mesh, matrix.tokens, Rights(texts))

    yield change
    matrix.mesh.apply(shipped())


@pytest.mark.parametrize("what", LOOSENED)
def test_the_matrix_finds_a_loosened_policy(
    what: str, matrix: Matrix, loosened: Callable[..., Matrix], tmp_path: Path
) -> None:
    """With one policy loosened the matrix differs from what is shipped, and from the loosened edges in nothing."""
    kind, name, change, callees = LOOSENED[what]
    changed = loosened(kind, name, change)

    def differences(held: Matrix) -> dict[Any, str]:
        found = held.between_pods(sources.WORKLOADS, callees.split())
        for callee in callees.split():
            found |= held.strangers(callee, tmp_path)
            if callee in BY_GRPC:
                found |= held.from_outside(callee)
        return found

    found = differences(matrix)
    assert found
    assert differences(changed) == {}


def test_the_matrix_finds_ports_that_take_plaintext(
    matrix: Matrix, loosened: Callable[..., Matrix], tmp_path: Path
) -> None:
    """With PERMISSIVE in the place of STRICT the matrix finds answers to strangers, though none gets a right."""

    def permissive(authentication: Document) -> None:
        authentication["spec"]["mtls"]["mode"] = "PERMISSIVE"

    loosened("PeerAuthentication", "default", permissive)
    found = matrix.strangers("moderator", tmp_path)
    assert {cell.caller for cell in found} == {"plaintext"}
    assert {text.split(",")[0] for text in found.values()} == {"403"}


def test_the_matrix_finds_tokens_for_others(matrix: Matrix, loosened: Callable[..., Matrix]) -> None:
    """With the audience left out the matrix finds that a token for somebody else opens what an operator's does."""

    def any_audience(authentication: Document) -> None:
        del authentication["spec"]["jwtRules"][0]["audiences"]

    loosened("RequestAuthentication", "tokens", any_audience)
    found = matrix.between_pods(["ingress"], ["moderator"]) | matrix.from_outside("moderator")
    assert {cell.token for cell in found} == {"another audience"}
    assert any(text.startswith("allowed") for text in found.values())


def test_the_matrix_finds_tokens_that_are_not_looked_at(matrix: Matrix, loosened: Callable[..., Matrix]) -> None:
    """Without the RequestAuthentication no token counts, and the matrix finds that good ones open nothing."""

    def of_nobody(authentication: Document) -> None:
        authentication["spec"]["selector"]["matchLabels"] = {"app": "model"}

    loosened("RequestAuthentication", "tokens", of_nobody)
    found = matrix.between_pods(["ingress"], ["moderator"])
    assert {cell.token for cell in found} >= {"viewer", "operator", "forged"}
    assert not any(text.startswith("allowed") for text in found.values())
