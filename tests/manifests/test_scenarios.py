"""Scenarios change what they say they change, and nothing else of what is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.manifests.sources import BASE, ISTIO, NAMESPACE, SCENARIOS, SERVICES, allowed, documents, of_kind, texts, the
from tests.support.edges import edges

CHANGES = {
    "canary": {"route", "subsets"},
    "mirror": {"route", "subsets", "mirror", "mirrorPercentage"},
    "delay": {"fault"},
    "abort": {"fault"},
    "outlier": {"outlierDetection"},
    "deny": set[str](),
}
"""Fields that a scenario may set or change in what it replaces."""


def _fields(value: Any, changed: set[str]) -> Any:
    """The value without the fields that may differ."""
    if isinstance(value, dict):
        return {name: _fields(inner, changed) for name, inner in value.items() if name not in changed}
    return [_fields(inner, changed) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda path: path.name)
def test_what_is_replaced_differs_as_said(folder: Path) -> None:
    """A resource that has the name of a shipped one is that one but for the scenario's point, which it does have."""
    changed = CHANGES[folder.name]
    for document in documents(folder):
        shipped = of_kind(document["kind"]).get(document["metadata"]["name"])
        if shipped is not None:
            assert _fields(document, changed) == _fields(shipped, changed)
            assert document != shipped


def test_the_second_version_is_one_of_team_a() -> None:
    """team-a-v2 differs from team-a in its version, and in what it says of itself."""
    (second,) = documents_of(ISTIO / "scenarios" / "canary", "Deployment")
    first = the("Deployment", "team-a")
    own, others = (deployment["spec"]["template"]["spec"]["containers"][0] for deployment in (second, first))
    own["env"] = [variable for variable in own["env"] if variable["name"] != "AGENT_DESCRIPTION"]
    assert own == others
    labels = second["spec"]["template"]["metadata"]["labels"]
    assert {**labels, "version": "v1"} == first["spec"]["template"]["metadata"]["labels"]
    assert second["spec"]["template"]["spec"]["serviceAccountName"] == "team-a"


def test_deny_closes_one_workload() -> None:
    """With it the ingress may call nothing of team-b; every other edge stays."""
    closed = edges(texts(BASE, ISTIO / "base", SERVICES, ISTIO / "scenarios" / "deny"), namespace=NAMESPACE)
    gone = set(allowed()) - set(closed)
    assert {(edge.caller, edge.callee) for edge in gone} == {("ingress", "team-b")}
    assert not [edge for edge in closed if (edge.caller, edge.callee) == ("ingress", "team-b")]


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda path: path.name)
def test_each_says_what_you_see(folder: Path) -> None:
    """The first lines of a scenario's file: what it is, what you see, how to apply and to undo it."""
    heads = [
        path.read_text("utf-8") for path in folder.glob("*.yaml") if path.name in {"traffic.yaml", "authorization.yaml"}
    ]
    assert len(heads) == 1
    for wanted in ("# What you see: ", "# Apply:  rostrum apply -f istio/scenarios/", "# Undo:   rostrum "):
        assert wanted in heads[0]


def documents_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The documents of a kind in a folder."""
    return [document for document in documents(folder) if document["kind"] == kind]
