"""ServiceEntry: hosts that are no Service, how they are found and marked, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.sidecar.mesh import Mesh
from tests.unit.mesh.sidecar.calling import cluster, clusters, document, endpoints, marks, places, sans, tls_context
from tests.unit.mesh.sidecar.shop import BACKEND, proxy, service, shop

HOST = "entry.example.com"
HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
NAME = f"outbound|80||{HOST}"


def _entry(name: str = "case", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """An entry for HOST with one port, of one address unless spec says more."""
    found = {"hosts": [HOST], "ports": [HTTP], "resolution": "STATIC", "endpoints": [{"address": "127.8.0.1"}], **spec}
    return document("ServiceEntry", {key: value for key, value in found.items() if value is not None}, name, namespace)


def _mesh(**spec: Any) -> Mesh:
    return shop(_entry(**spec))


def test_addresses_are_endpoints() -> None:
    """STATIC: EDS, the port by its name, by targetPort, or the same as dialled; no health is claimed."""
    spec: dict[str, Any] = {"endpoints": [{"address": "127.8.0.1", "ports": {"http": 8080}}, {"address": "127.8.0.2"}]}
    assert cluster(_mesh(**spec), NAME)["type"] == "EDS"
    assert places(_mesh(**spec), NAME) == ["127.8.0.1:8080", "127.8.0.2:80"]
    assert places(_mesh(**spec, ports=[{**HTTP, "targetPort": 81}]), NAME) == ["127.8.0.1:8080", "127.8.0.2:81"]
    assert all("healthStatus" not in endpoint for endpoint in endpoints(_mesh(**spec), NAME))


def test_endpoints_may_weigh_more() -> None:
    """weight is loadBalancingWeight, 1 if unset."""
    spec = [{"address": "127.8.0.1", "weight": 5}, {"address": "127.8.0.2"}]
    assert [endpoint["loadBalancingWeight"] for endpoint in endpoints(_mesh(endpoints=spec), NAME)] == [5, 1]


def test_an_endpoint_is_labelled_for_metrics() -> None:
    """By the entry's name and a number."""
    metadata = endpoints(_mesh(), NAME)[0]["metadata"]["filterMetadata"]["istio"]
    assert metadata["workload"] == "case-0;shop;case-0;latest;Kubernetes"


def test_what_is_outside_is_called_in_plain_text() -> None:
    """MESH_EXTERNAL, which is the default: never mTLS of itself."""
    found = cluster(_mesh(), NAME)
    assert not {"transportSocket", "transportSocketMatches"} & found.keys()
    assert found["metadata"]["filterMetadata"]["istio"]["external"] is True


def test_what_is_inside_is_called_by_what_it_can_do() -> None:
    """MESH_INTERNAL: an endpoint with an account speaks mTLS under its identity, one without does not."""
    spec = [{"address": "127.8.0.1", "serviceAccount": "one"}, {"address": "127.8.0.2"}]
    mesh = _mesh(location="MESH_INTERNAL", endpoints=spec, subjectAltNames=["spiffe://cluster.local/ns/x/sa/y"])
    assert marks(mesh, NAME) == ["istio", ""]
    context = tls_context(cluster(mesh, NAME)["transportSocketMatches"][0]["transportSocket"])
    assert sans(context) == ["spiffe://cluster.local/ns/shop/sa/one", "spiffe://cluster.local/ns/x/sa/y"]


def test_a_label_says_whether_an_endpoint_speaks_mtls() -> None:
    """security.istio.io/tlsMode goes before the account."""
    spec = [{"address": "127.8.0.1", "serviceAccount": "one", "labels": {"security.istio.io/tlsMode": "disabled"}}]
    assert marks(_mesh(location="MESH_INTERNAL", endpoints=spec), NAME) == [""]


@pytest.mark.parametrize(("resolution", "single"), [("DNS", False), ("DNS_ROUND_ROBIN", True)])
def test_dns_finds_the_host(resolution: str, single: bool) -> None:  # noqa: FBT001 - a table's column
    """Envoy asks for the host itself, looks again as its time to live says, else each minute; no EDS."""
    mesh = _mesh(resolution=resolution, endpoints=None)
    found = cluster(mesh, NAME)
    (locality,) = found["loadAssignment"]["endpoints"]
    (only,) = locality["lbEndpoints"]
    assert only["endpoint"]["address"]["socketAddress"] == {"address": HOST, "portValue": 80}
    settings = found["clusterType"]["typedConfig"]
    assert (settings["dnsRefreshRate"], settings["respectDnsTtl"]) == ("60s", True)
    assert settings.get("allAddressesInSingleEndpoint", False) is single
    assert settings["dnsLookupFamily"] == "V4_ONLY"
    with pytest.raises(KeyError):
        endpoints(mesh, NAME)


def test_dns_may_find_other_names() -> None:
    """Endpoints of a DNS host are names in its place."""
    found = cluster(_mesh(resolution="DNS", endpoints=[{"address": "a.example.com"}]), NAME)
    (locality,) = found["loadAssignment"]["endpoints"]
    assert locality["lbEndpoints"][0]["endpoint"]["address"]["socketAddress"]["address"] == "a.example.com"


def test_a_dns_subset_without_endpoints_has_no_cluster() -> None:
    """As in istiod; an EDS cluster could be empty."""
    labelled = [
        {"address": "a.example.com", "labels": {"at": "a"}},
        {"address": "b.example.com", "labels": {"at": "b"}},
    ]
    rule = document("DestinationRule", {"host": HOST, "subsets": [{"name": "a", "labels": {"at": "a"}}]})
    mesh = shop(_entry(resolution="DNS", endpoints=labelled), rule)
    (locality,) = cluster(mesh, f"outbound|80|a|{HOST}")["loadAssignment"]["endpoints"]
    assert len(locality["lbEndpoints"]) == 1


def test_every_host_and_port_has_a_cluster() -> None:
    """Two by two."""
    ports = [HTTP, {"number": 443, "name": "tls", "protocol": "TLS"}]
    found = clusters(_mesh(hosts=["a.example.com", "b.example.com"], ports=ports))
    wanted = {f"outbound|{port}||{host}.example.com" for port in (80, 443) for host in "ab"}
    assert wanted <= found.keys()


def test_an_entry_is_seen_where_it_is_exported_to() -> None:
    """'.' is its own namespace alone."""
    assert NAME not in clusters(shop(_entry(namespace="elsewhere", exportTo=["."])))
    assert NAME in clusters(shop(_entry(namespace="elsewhere", exportTo=["shop"])))


def test_the_callers_namespace_has_the_first_word() -> None:
    """Of two entries for one host in two namespaces."""
    far = _entry("far", "elsewhere", endpoints=[{"address": "127.8.0.9"}])
    assert places(shop(far), NAME) == ["127.8.0.9:80"]
    assert places(shop(far, _entry()), NAME) == ["127.8.0.1:80"]


def test_a_gateway_sees_entries_too() -> None:
    """As every host that is exported to its namespace."""
    mesh = _mesh()
    assert proxy(mesh, "gate").workload.name == "gate"
    assert NAME in clusters(mesh, "gate")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"resolution": None}, "spec.endpoints: has no effect without a resolution"),
        ({"resolution": "DYNAMIC_DNS"}, "spec.resolution: input should be 'NONE', 'STATIC', 'DNS' or"),
        ({"location": "OUTSIDE"}, "spec.location: input should be"),
        ({"host": HOST}, "spec.host: is not translated, or no such field"),
        ({"addresses": ["10.0.0.1"]}, "spec.addresses: is not translated"),
        ({"workloadSelector": {}}, "spec.workloadSelector: is not translated"),
        ({"hosts": []}, "spec.hosts: tuple should have at least 1 item"),
        ({"hosts": ["*.example.com"]}, r"spec.hosts\[0\]: '\*.example.com': wildcards are not resolved"),
        ({"hosts": ["entry"]}, r"spec.hosts\[0\]: 'entry' has no dot: write the full name"),
        ({"hosts": [BACKEND]}, rf"spec.hosts\[0\]: {BACKEND} is a Service \(shop.yaml document 1"),
        ({"ports": [{**HTTP, "protocol": "htp"}]}, r"spec.ports\[0\].protocol: one of HTTP, HTTP2, "),
        ({"ports": [{**HTTP, "number": 0}]}, r"spec.ports\[0\].number: input should be greater"),
        ({"ports": [{**HTTP, "number": "80a"}]}, r"spec.ports\[0\].number: input should be a valid integer"),
        ({"ports": [HTTP, {**HTTP, "name": "b"}]}, r"spec.ports\[1\].number: 80 is said twice"),
        ({"ports": [HTTP, {**HTTP, "number": 81}]}, r"spec.ports\[1\].name: 'http' is said twice"),
        ({"endpoints": None}, "spec.endpoints: is missing: resolution STATIC needs addresses"),
        (
            {"endpoints": [{"address": "a.example.com"}]},
            r"spec.endpoints\[0\].address: 'a.example.com' is no IP address",
        ),
        (
            {"endpoints": [{"address": "127.8.0.1", "ports": {"grpc": 1}}]},
            r"spec.endpoints\[0\].ports: 'grpc' is no port of the host: write one of http",
        ),
        (
            {"endpoints": [{"address": "127.8.0.1", "ports": {"http": 70000}}]},
            r"spec.endpoints\[0\].ports.http: input should be less than or equal to 65535",
        ),
        (
            {"endpoints": [{"address": "127.8.0.1", "locality": "a"}]},
            r"spec.endpoints\[0\].locality: is not translated",
        ),
        (
            {"resolution": "DNS_ROUND_ROBIN", "endpoints": [{"address": "a.x"}, {"address": "b.x"}]},
            "spec.endpoints: DNS_ROUND_ROBIN takes one endpoint",
        ),
    ],
)
def test_an_entry_that_leads_nowhere_is_refused(spec: dict[str, Any], message: str) -> None:
    """File, document, field path, and what to do."""
    with pytest.raises(ManifestError, match=rf"case.yaml document 1 \(ServiceEntry case\): {message}"):
        _mesh(**spec)


def test_one_host_is_declared_once_in_a_namespace() -> None:
    """istiod would join the endpoints of the two in ways that depend on their age."""
    with pytest.raises(ManifestError, match=r"spec.hosts\[0\]: entry.example.com is declared already in case.yaml"):
        shop(_entry("a"), _entry("b"))


def test_the_shop_is_seen_beside_it() -> None:
    """An entry takes nothing away from Services."""
    more = service("more", [{"name": "http", "port": 80}])
    assert {NAME, "outbound|80||more.shop.svc.cluster.local"} <= clusters(shop(_entry(), more)).keys()
