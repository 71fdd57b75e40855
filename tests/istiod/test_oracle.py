"""The oracle's own promises: what its cluster is made of, and that a bad input harms no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mesh.istiod.generator import IstiodError, Places
from tests.istiod.normalise import Side, normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.istiod.generator import Config, Istiod

HOST = "backend.shop.svc.cluster.local"
CLUSTER = f"outbound|50051||{HOST}"


def _workload(
    name: str, *, labels: str = "", replicas: int = 1, kind: str = "Deployment", annotations: str = ""
) -> str:
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: {replicas}
  template:
    metadata: {{labels: {{app: {name}{labels}}}, annotations: {{{annotations}}}}}
    spec:
      serviceAccountName: {name}
      containers: [{{name: app, image: "app:1", ports: [{{name: main, containerPort: 50051}}]}}]
"""


def _service(name: str) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: grpc, port: 50051, targetPort: main}}]
"""


def _virtual_service(spec: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: backend, namespace: shop}}
spec: {spec}
"""


SHOP = {"backend.yaml": _workload("backend") + "---" + _service("backend"), "client.yaml": _workload("client")}


def _named(resources: Any, name: str) -> Any:
    return next(resource for resource in resources if resource.get("name", resource.get("clusterName")) == name)


def _addresses(config: Config, cluster: str = CLUSTER) -> list[str]:
    locality = _named(config.endpoints, cluster)["endpoints"][0]
    return [endpoint["endpoint"]["address"]["socketAddress"]["address"] for endpoint in locality["lbEndpoints"]]


def _inbound(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = normalise(vars(config), Side.ISTIOD)["listeners"]["[inbound|50051]"]
    return found


def test_every_workload_gets_its_configuration(istiod: Istiod) -> None:
    """A Deployment and a StatefulSet are pods with a sidecar; a Service's named target port is its container's."""
    files = {**SHOP, "other.yaml": _workload("other", kind="StatefulSet")}
    found = istiod.translate(files)
    assert sorted(found) == ["shop/backend", "shop/client", "shop/other"]
    assert _named(found["shop/backend"].clusters, "inbound|50051||")
    assert _named(found["shop/client"].routes, "50051")["virtualHosts"][0]["name"] == f"{HOST}:50051"


def test_each_replica_is_an_endpoint(istiod: Istiod) -> None:
    """Three replicas are three addresses behind the Service."""
    files = {**SHOP, "backend.yaml": _workload("backend", replicas=3) + "---" + _service("backend")}
    assert _addresses(istiod.translate(files)["shop/client"]) == ["127.0.1.1", "127.0.1.2", "127.0.1.3"]


def test_addresses_are_taken_as_given(istiod: Istiod) -> None:
    """Pods and Services have the addresses that the other side uses."""
    places = Places(pods={"shop/backend": ["127.9.0.1"]}, services={"shop/backend": "127.20.0.1"})
    found = istiod.translate(SHOP, places=places)["shop/client"]
    assert _addresses(found) == ["127.9.0.1"]
    assert "127.20.0.1" in _named(_named(found.routes, "50051")["virtualHosts"], f"{HOST}:50051")["domains"]


def test_a_list_is_its_items(istiod: Istiod) -> None:
    """kind: List, in one file of several documents, is read as if its items stood alone."""
    item = _service("backend").replace("\n", "\n    ").replace("\n    apiVersion", "\n  - apiVersion", 1)
    text = _workload("backend") + "---\napiVersion: v1\nkind: List\nitems:" + item
    assert istiod.translate({**SHOP, "backend.yaml": text}) == istiod.translate(SHOP)


def test_the_namespace_is_that_of_documents_without_one(istiod: Istiod) -> None:
    """What kustomize would put in place may be said with the question."""
    files = {name: text.replace(", namespace: shop", "") for name, text in SHOP.items()}
    assert istiod.translate(files, namespace="shop") == istiod.translate(SHOP)


def test_sidecars_take_part_in_mutual_tls(istiod: Istiod) -> None:
    """Endpoints of a pod with a sidecar say so, as with istiod's injector."""
    locality = _named(istiod.translate(SHOP)["shop/client"].endpoints, CLUSTER)["endpoints"][0]
    metadata = locality["lbEndpoints"][0]["metadata"]["filterMetadata"]
    assert metadata["envoy.transport_socket_match"] == {"tlsMode": "istio"}


def test_a_pod_without_a_sidecar_has_no_configuration(istiod: Istiod) -> None:
    """sidecar.istio.io/inject: "false" means no proxy, and endpoints that speak plaintext."""
    plain = _workload("backend", annotations='sidecar.istio.io/inject: "false"')
    found = istiod.translate({**SHOP, "backend.yaml": plain + "---" + _service("backend")})
    assert sorted(found) == ["shop/client"]
    endpoint = _named(found["shop/client"].endpoints, CLUSTER)["endpoints"][0]["lbEndpoints"][0]
    assert "envoy.transport_socket_match" not in endpoint.get("metadata", {}).get("filterMetadata", {})


GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: shop}
spec:
  selector: {istio: gate}
  servers: [{port: {number: 50051, name: http, protocol: HTTP}, hosts: ["*"]}]
"""


def test_pods_that_a_gateway_selects_are_gateways(istiod: Istiod) -> None:
    """They have the Gateway's listener and routes, and nothing inbound."""
    gate = _workload("gate", labels=", istio: gate") + "---" + _service("gate") + "---" + GATEWAY
    found = istiod.translate({**SHOP, "gate.yaml": gate})["shop/gate"]
    assert [listener["name"] for listener in found.listeners] == ["0.0.0.0_50051"]
    assert [route["name"] for route in found.routes] == ["http.50051"]
    assert CLUSTER in [assignment["clusterName"] for assignment in found.endpoints]


def test_a_refused_input_is_its_own_error(istiod: Istiod) -> None:
    """istiod's own words, the file, the document; and the next question is answered as if nothing had been."""
    bad = _virtual_service("{hosts: [backend], http: [{route: [{destination: {host: backend}}], timeout: 1x}]}")
    with pytest.raises(IstiodError, match=r"bad\.yaml document 1 \(VirtualService backend\).*1x"):
        istiod.translate({**SHOP, "bad.yaml": bad})
    with pytest.raises(IstiodError, match=r"bad\.yaml document 1"):
        istiod.translate({**SHOP, "bad.yaml": "a: [b"})
    with pytest.raises(IstiodError, match="the oracle knows no such kind"):
        istiod.translate({**SHOP, "bad.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}"})
    with pytest.raises(IstiodError, match="3 replicas and 1 addresses"):
        istiod.translate(
            {"backend.yaml": _workload("backend", replicas=3)}, places=Places(pods={"shop/backend": ["127.0.1.1"]})
        )
    assert "shop/client" in istiod.translate(SHOP)


def test_the_mesh_config_is_laid_over_the_default(istiod: Istiod) -> None:
    """REGISTRY_ONLY makes unknown hosts a 502; without it they pass through."""
    strict = istiod.translate(SHOP, mesh_config="outboundTrafficPolicy: {mode: REGISTRY_ONLY}")["shop/client"]
    default = istiod.translate(SHOP)["shop/client"]
    hosts = [[host["name"] for host in _named(found.routes, "50051")["virtualHosts"]] for found in (strict, default)]
    assert hosts == [[f"{HOST}:50051", "block_all"], [f"{HOST}:50051", "allow_any"]]
    assert _named(strict.clusters, CLUSTER)["connectTimeout"] == "10s"
    with pytest.raises(IstiodError, match="meshConfig"):
        istiod.translate(SHOP, mesh_config="outboundTrafficPolicy: 1")


def _tokens(rule: str) -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: shop}}
spec:
  jwtRules: [{{issuer: rostrum, {rule}}}]
"""


def _key_set(found: Mapping[str, Config]) -> Any:
    chains = _inbound(found["shop/backend"])["filterChains"].values()
    filters = next(iter(chains))["filters"][0]["typedConfig"]["httpFilters"]
    return _named(filters, "envoy.filters.http.jwt_authn")["typedConfig"]["providers"]["origins-0"]["localJwks"]


def test_key_sets_are_never_fetched(istiod: Istiod) -> None:
    """One in the manifest is used; one by its address is that of the question, or one that nobody can sign for."""
    keys = {"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}
    address = "http://127.0.0.1:1/keys"
    inline = istiod.translate({**SHOP, "tokens.yaml": _tokens(f"jwks: '{json.dumps(keys)}'")})
    assert _key_set(inline) == keys
    remote = {**SHOP, "tokens.yaml": _tokens(f'jwksUri: "{address}"')}
    assert _key_set(istiod.translate(remote, jwks={address: json.dumps(keys)})) == keys
    assert _key_set(istiod.translate(remote)) == "a key set that nobody can sign for"


def test_the_same_question_has_the_same_answer(istiod: Istiod) -> None:
    """What istiod takes from its maps in no order is in the order of names here."""
    more = {f"{name}.yaml": _workload(name, replicas=2) + "---" + _service(name) for name in ("b", "c", "d", "a")}
    first = istiod.translate({**SHOP, **more})
    assert all(istiod.translate({**more, **SHOP}) == first for _ in range(5))


def test_the_older_of_two_wins(istiod: Istiod) -> None:
    """creationTimestamp is heeded, what says none is older than all that do, and names break the tie."""
    rule = "{hosts: [backend], http: [{route: [{destination: {host: backend}}], timeout: %ds}]}"

    def named(name: str, seconds: int, created: str = "") -> str:
        more = f', creationTimestamp: "{created}"' if created else ""
        return _virtual_service(rule % seconds).replace("name: backend,", f"name: {name}{more},", 1)

    older, younger = named("z", 1, "2020-01-01T00:00:00Z"), named("b", 2, "2020-01-01T00:00:01Z")
    without, also_without = named("q", 3), named("p", 4)
    orders = [(younger, older), (younger, older, without), (without, also_without)]
    found = [istiod.translate({**SHOP, "rules.yaml": "---".join(order)})["shop/client"] for order in orders]
    hosts = [_named(_named(config.routes, "50051")["virtualHosts"], f"{HOST}:50051") for config in found]
    assert [host["routes"][0]["route"]["timeout"] for host in hosts] == ["1s", "3s", "4s"]
