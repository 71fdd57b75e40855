"""The allow-lists and the contracts say the same: who may call which RPC, in which role."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor

from mesh.bus.topics import dead_letters_topic
from tests.manifests.sources import (
    AGENTS,
    HEALTH,
    HTTP,
    MANIFESTS,
    REFLECTION,
    SERVED,
    WORKLOADS,
    allowed,
    callers_of,
    path_of,
    the,
)
from tests.support.edges import ANYBODY, BROKER, OUTSIDE, Edge
from tests.support.topics import FLOORS_TOPIC, TURNS_TOPIC

EVERY_ROLE = ("operator", "viewer")
RPCS = [(workload, method) for workload, service in sorted(SERVED.items()) for method in service.methods]


def _calls() -> list[Edge]:
    """What the pods behind the ingress may be called for."""
    return [edge for edge in allowed() if edge.callee not in {BROKER, "ingress"}]


@pytest.mark.parametrize(("workload", "method"), RPCS, ids=lambda value: getattr(value, "name", value))
def test_callers_are_those_of_the_contract(workload: str, method: descriptor.MethodDescriptor) -> None:
    """Each caller and role that the RPC's comment names has its edge, and nobody else has one."""
    found = {edge.caller: edge.roles for edge in _calls() if (edge.callee, edge.target) == (workload, path_of(method))}
    wanted = callers_of(method)
    missing, extra = sorted(wanted.items() - found.items()), sorted(found.items() - wanted.items())
    assert found == wanted, f"{method.name} of {workload}: no policy allows {missing}; its contract names no {extra}"


def test_every_path_is_there() -> None:
    """Each path of a policy is an RPC that its workload serves, health, reflection, or what mesh.llm calls."""
    for edge in _calls():
        rpcs = {path_of(method) for method in SERVED[edge.callee].methods} if edge.callee in SERVED else set()
        if edge.target in rpcs | (HEALTH | REFLECTION if rpcs else set()):
            assert edge.verb == "CALL", edge
        else:
            assert (edge.callee, edge.target, edge.verb) in HTTP, f"{edge}: there is no such path"


def test_models_are_called_by_those_who_need_them() -> None:
    """The models' paths have exactly the callers that their clients are."""
    for (callee, path, method), callers in HTTP.items():
        found = {edge.caller for edge in _calls() if (edge.callee, edge.target, edge.verb) == (callee, path, method)}
        assert found == callers, f"{callee} {path}"


@pytest.mark.parametrize("workload", sorted(SERVED))
def test_health_and_reflection_are_for_the_ingress(workload: str) -> None:
    """Any role may ask for them through the ingress; no other caller can (kubelet does not come through the mesh)."""
    found = {(edge.target, edge.caller, edge.roles) for edge in _calls() if edge.callee == workload}
    about = {row for row in found if row[0] in HEALTH | REFLECTION}
    wanted = {(path, "ingress", EVERY_ROLE) for path in HEALTH | REFLECTION}
    assert about == wanted, f"{workload}: its policy lacks {sorted(wanted - about)} and has {sorted(about - wanted)}"


def test_whoever_reads_tokens_knows_whose() -> None:
    """The ingress, and each workload whose policy asks for a role, has the label that RequestAuthentication selects."""
    wanted = {edge.callee for edge in allowed() if edge.roles}
    selector = the("RequestAuthentication", "tokens")["spec"]["selector"]["matchLabels"]
    labelled = {name for name in WORKLOADS if selector.items() <= MANIFESTS.deployments[name].labels.items()}
    assert labelled == wanted == {"ingress", *SERVED}


def test_nothing_is_open() -> None:
    """No edge is for anybody, none to the pods goes by a pattern, and a call from outside always needs a role."""
    for edge in allowed():
        assert edge.caller != ANYBODY, edge
        assert "*" not in edge.target or edge.callee == "ingress", edge
        if edge.caller in {OUTSIDE, "ingress"}:
            assert edge.roles, edge


def test_the_ingress_lets_in_what_is_behind_it() -> None:
    """Whatever the ingress may call by gRPC passes the ingress' own policy in the same role."""
    entries = [edge for edge in allowed() if edge.callee == "ingress"]
    for edge in _calls():
        if edge.caller == "ingress":
            passing = [entry for entry in entries if edge.target.startswith(entry.target.rstrip("*"))]
            assert any(set(edge.roles) <= set(entry.roles) for entry in passing), edge


def test_agents_are_alike() -> None:
    """Every agent may call, and be called, as every other."""

    def seen_by(agent: str) -> set[tuple[str, ...]]:
        own = [edge for edge in _calls() if agent in {edge.caller, edge.callee}]
        rows = [(edge.caller, edge.callee, edge.target, edge.verb, *edge.roles) for edge in own]
        return {tuple("agent" if part == agent else part for part in row) for row in rows}

    first, *others = AGENTS
    for other in others:
        difference = seen_by(first) ^ seen_by(other)
        assert not difference, f"{first} and {other} differ in {sorted(difference)}"


def test_rights_to_topics() -> None:
    """An agent reads its own floors and writes turns, the moderator the other way; each writes its own dead letters."""
    rights = {(edge.caller, edge.verb, edge.target) for edge in allowed() if edge.callee == BROKER}
    wanted = {("moderator", "Read", TURNS_TOPIC.name), ("moderator", "Write", dead_letters_topic(TURNS_TOPIC.name))}
    for agent in AGENTS:
        floors = FLOORS_TOPIC.of(agent).name
        wanted |= {("moderator", "Write", floors), (agent, "Read", floors), (agent, "Write", TURNS_TOPIC.name)}
        wanted |= {(agent, "Write", dead_letters_topic(floors))}
    missing, extra = sorted(wanted - rights), sorted(rights - wanted)
    assert rights == wanted, f"kafka-users.yaml lacks the rights {missing} and has {extra} too many"


def test_users_of_kafka_are_given_their_certificate() -> None:
    """Each KafkaUser is a workload, and its pods find its secret where KAFKA_TLS_FOLDER says."""
    for name in MANIFESTS.kafka_users:
        pod = the("Deployment", name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        (mount,) = [mounted for mounted in container["volumeMounts"] if mounted["name"] == "kafka"]
        (volume,) = [declared for declared in pod["volumes"] if declared["name"] == "kafka"]
        assert {"name": "KAFKA_TLS_FOLDER", "value": mount["mountPath"]} in container["env"], name
        secrets = {source["secret"]["name"]: source["secret"]["items"] for source in volume["projected"]["sources"]}
        assert name in secrets, name
        files = {item["path"] for items in secrets.values() for item in items}
        assert files == {"root.pem", "key.pem", "chain.pem"}
