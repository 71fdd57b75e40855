"""The mesh's files are whole: whoever adds a workload and forgets a part of it is notified which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.manifests.sources import (
    BEHIND_THE_INGRESS,
    HOSTS,
    ISTIO,
    MANIFESTS,
    NAMESPACE,
    SCENARIOS,
    SERVICES,
    WORKLOADS,
    allowed,
    documents,
    kustomization_of,
    of_kind,
    the,
)

FOLDERS = [ISTIO / "base", *(SERVICES / name for name in BEHIND_THE_INGRESS), *SCENARIOS]


def _kinds(name: str) -> dict[str, list[dict[str, Any]]]:
    """The documents of a workload's folder by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for document in documents(SERVICES / name):
        found.setdefault(document["kind"], []).append(document)
    return found


@pytest.mark.parametrize("name", BEHIND_THE_INGRESS)
def test_each_service_says_all_of_itself(name: str) -> None:
    """A folder of its own has its policy, what it sees, and how it is called and taken out."""
    kinds = _kinds(name)
    own = [policy for policy in kinds.get("AuthorizationPolicy", []) if policy["metadata"]["name"] == name]
    assert [policy["spec"]["selector"]["matchLabels"] for policy in own] == [{"app": name}], f"{name} has no policy"
    assert [rule["spec"]["host"] for rule in kinds.get("DestinationRule", [])] == [name], f"{name} has no rule"
    sidecars = [sidecar["spec"]["workloadSelector"]["labels"] for sidecar in kinds.get("Sidecar", [])]
    assert sidecars == [{"app": name}], f"{name} has no Sidecar"
    callers = {edge.caller for edge in allowed() if edge.callee == name}
    gateways = {
        gateway
        for virtual_service in kinds.get("VirtualService", [])
        for gateway in virtual_service["spec"]["gateways"]
    }
    wanted = {"ingress"} & callers | ({"mesh"} if callers - {"ingress"} else set())
    assert gateways == wanted, f"{name} has no VirtualService for some of its callers"


def test_each_folder_is_a_service() -> None:
    """Nobody is left over: istio/services has a folder for each workload behind the ingress, and no other."""
    assert sorted(folder.name for folder in SERVICES.iterdir()) == BEHIND_THE_INGRESS


def test_each_pod_sees_what_it_calls() -> None:
    """A Sidecar names the hosts of the edges that its pod has, and no other; without edges it sees nothing."""
    for name in BEHIND_THE_INGRESS:
        called = {edge.callee for edge in allowed() if edge.caller == name and edge.callee in HOSTS}
        wanted = {f"./{callee}.{NAMESPACE}.svc.cluster.local" for callee in called} or {"~/*"}
        (egress,) = the("Sidecar", name)["spec"]["egress"]
        assert set(egress["hosts"]) == wanted, f"{name} calls {sorted(called)}"


def test_what_was_forgotten_is_closed() -> None:
    """The namespace's own resources: mutual TLS only, nobody may call, nothing is seen, all is traced."""
    assert the("PeerAuthentication", "default")["spec"] == {"mtls": {"mode": "STRICT"}}
    assert the("AuthorizationPolicy", "default")["spec"] == {}
    assert the("Sidecar", "default")["spec"] == {"egress": [{"hosts": ["~/*"]}]}
    assert the("Telemetry", "default")["spec"]["tracing"] == [{"randomSamplingPercentage": 100}]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_kustomizations_name_every_file(folder: Path) -> None:
    """kubectl apply -k takes every file that `rostrum` reads, into the one namespace."""
    said = kustomization_of(folder)
    assert set(said["resources"]) == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert said["namespace"] == NAMESPACE


def test_the_kustomization_of_all_names_every_service() -> None:
    """istio/kustomization.yaml has the base and each service, and no scenario."""
    said = kustomization_of(ISTIO)["resources"]
    assert sorted(said) == sorted(["base", *(f"services/{name}" for name in BEHIND_THE_INGRESS)])


def test_hosts_and_ports_exist() -> None:
    """Each host, port and gateway that a VirtualService or DestinationRule names is there. Scenarios included."""
    for document in documents(ISTIO):
        spec, name = document["spec"], document["metadata"]["name"]
        if document["kind"] == "DestinationRule":
            assert spec["host"] in HOSTS, name
        if document["kind"] == "VirtualService":
            assert set(spec["gateways"]) <= {"mesh", *of_kind("Gateway")}, name
            assert set(spec["hosts"]) <= {"*"} | HOSTS.keys(), name
            for route in spec["http"]:
                for to in [
                    *(part["destination"] for part in route["route"]),
                    *([route["mirror"]] if "mirror" in route else []),
                ]:
                    assert HOSTS[to["host"]].port(to["port"]["number"]) is not None, f"{name}: {to}"


def test_the_gateway_is_the_ingress() -> None:
    """Its selector takes the ingress' pods and no others, on a port that they have."""
    spec = the("Gateway", "ingress")["spec"]
    taken = [name for name in WORKLOADS if spec["selector"].items() <= MANIFESTS.deployments[name].labels.items()]
    assert taken == ["ingress"]
    assert [server["port"]["number"] for server in spec["servers"]] == list(
        MANIFESTS.deployments["ingress"].ports.values()
    )
