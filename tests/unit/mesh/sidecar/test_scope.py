"""Sidecar and scope: which one is for a pod, what it shows, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.proxy import Endpoint
from tests.unit.mesh.sidecar.calling import clusters, document, listeners, scope
from tests.unit.mesh.sidecar.shop import (
    BACKEND,
    CLUSTER,
    configurations,
    destination_rule,
    gateway_of,
    service,
    shop,
    to,
    virtual_service,
)

OTHER = "other.shop.svc.cluster.local"
GATE = "gate.shop.svc.cluster.local"
FAR = "far.elsewhere.svc.cluster.local"
ALL = {BACKEND, OTHER, GATE, FAR}


def _sidecar(*hosts: str, name: str = "case", namespace: str = "shop", app: str = "", **spec: Any) -> dict[str, Any]:
    """A Sidecar that shows these hosts to one app, or to all of the namespace."""
    selector = {"workloadSelector": {"labels": {"app": app}}} if app else {}
    egress = {"egress": [{"hosts": list(hosts)}]} if hosts else {}
    return document("Sidecar", {**selector, **egress, **spec}, name, namespace)


def _seen(mesh: Mesh, pod: str = "client") -> set[str]:
    return {host.name for host in scope(mesh, pod).hosts}


def test_without_a_sidecar_all_is_seen() -> None:
    """Hosts of all namespaces, by name."""
    assert [host.name for host in scope(shop()).hosts] == sorted(ALL)
    assert _seen(shop(_sidecar(app="client", outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}))) == ALL


@pytest.mark.parametrize(
    ("hosts", "seen"),
    [
        (["./*"], {BACKEND, OTHER, GATE}),
        (["shop/*"], {BACKEND, OTHER, GATE}),
        (["elsewhere/*"], {FAR}),
        (["*/*"], ALL),
        ([f"./{BACKEND}"], {BACKEND}),
        ([f"*/{FAR}", f"./{OTHER}"], {FAR, OTHER}),
        (["*/*.elsewhere.svc.cluster.local"], {FAR}),
        (["~/*"], set()),
        (["./*", f"~shop/{OTHER}"], {BACKEND, GATE}),
        (["*/*", "~elsewhere/*"], {BACKEND, OTHER, GATE}),
        (["*/*", f"~*/{OTHER}"], {BACKEND, GATE, FAR}),
    ],
)
def test_a_sidecar_shows_some(hosts: list[str], seen: set[str]) -> None:
    """namespace/host: "." is its own, "*" any; ~/* none; ~namespace/host takes away."""
    assert _seen(shop(_sidecar(*hosts))) == seen


def test_the_sidecar_for_a_pod() -> None:
    """By selector, else the namespace's, else the root namespace's, where "." is the pod's namespace."""
    own, all_of_shop = _sidecar(f"./{BACKEND}", app="client", name="own"), _sidecar(f"./{OTHER}", name="shop")
    root = _sidecar("./*", name="root", namespace="istio-system")
    assert [_seen(shop(*documents)) for documents in ([own, all_of_shop, root], [all_of_shop, root], [root])] == [
        {BACKEND},
        {OTHER},
        {BACKEND, OTHER, GATE},
    ]
    assert _seen(shop(own, all_of_shop), "backend") == {OTHER}


def test_of_two_that_select_a_pod_the_oldest_holds() -> None:
    """By creation time."""
    young = _sidecar(f"./{BACKEND}", app="client", name="a")
    old = _sidecar(f"./{OTHER}", app="client", name="b")
    young["metadata"]["creationTimestamp"] = "2026-02-02T00:00:00Z"
    old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert _seen(shop(young, old)) == {OTHER}


def test_no_sidecar_is_for_a_gateway() -> None:
    """It sees all that is exported to its namespace."""
    assert _seen(shop(_sidecar("~/*"), gateway_of()), "gate") == ALL


@pytest.mark.parametrize(
    ("policy", "settings", "registry_only"),
    [
        (None, {}, True),
        (None, {"registry_only": False}, False),
        ({"mode": "ALLOW_ANY"}, {}, False),
        ({"mode": "REGISTRY_ONLY"}, {"registry_only": False}, True),
        ({}, {"registry_only": False}, True),
    ],
)
def test_unknown_hosts(policy: Any, settings: dict[str, Any], registry_only: bool) -> None:  # noqa: FBT001 - a column
    """outboundTrafficPolicy goes before the mesh's; {} is REGISTRY_ONLY, the enum's zero."""
    spec = {} if policy is None else {"outboundTrafficPolicy": policy}
    assert scope(shop(_sidecar("./*", **spec), **settings)).registry_only is registry_only


def _names(mesh: Mesh) -> list[str]:
    return [resource.name for resource in scope(mesh).virtual_services]


RULES = {"http": [{"route": to(port={"number": 50051})}]}


def test_virtual_services_are_seen_with_their_hosts() -> None:
    """Whole if one host is seen; not if none is."""
    both = virtual_service({"hosts": ["backend", "other"], **RULES}, "both")
    other = virtual_service({"hosts": ["other"], **RULES}, "other")
    assert _names(shop(both, other, _sidecar(f"./{BACKEND}"))) == ["both"]


def test_virtual_services_of_gateways_alone_are_not_for_sidecars() -> None:
    """mesh is to be named beside them, or no gateway."""
    named = virtual_service({"gateways": ["gate", "mesh"], **RULES}, "named")
    alone = virtual_service({"gateways": ["gate"], **RULES}, "alone")
    assert _names(shop(named, alone, gateway_of())) == ["named"]


def test_private_virtual_services_go_before_exported_ones() -> None:
    """Of each kind the oldest first."""
    public = virtual_service(RULES, "public", creationTimestamp="2026-01-01T00:00:00Z")
    named = virtual_service({"exportTo": ["shop"], **RULES}, "named", creationTimestamp="2026-02-02T00:00:00Z")
    private = virtual_service({"exportTo": ["."], **RULES}, "private", creationTimestamp="2026-03-03T00:00:00Z")
    assert _names(shop(public, named, private)) == ["private", "named", "public"]


def test_a_wildcard_virtual_service_is_seen_with_any_host_that_it_takes() -> None:
    """Both ways: as old Istio does."""
    wide = virtual_service({"hosts": ["*.svc.cluster.local"], **RULES}, "wide")
    assert _names(shop(wide, _sidecar(f"./{BACKEND}"))) == ["wide"]


def test_where_a_virtual_service_leads_has_clusters_alone() -> None:
    """With the ports that it names; mirrors count. What is not imported has no listener and no routes."""
    two = service("two", [{"name": "http", "port": 81}, {"name": "grpc", "port": 82}])
    rule = {
        "route": to("two", port={"number": 82}),
        "mirrors": [{"destination": {"host": "other", "port": {"number": 9080}}}],
    }
    mesh = shop(two, virtual_service({"http": [rule]}), _sidecar(f"./{BACKEND}"))
    found = {host.name: [port.number for port in host.ports] for host in scope(mesh).destinations}
    assert found == {"two.shop.svc.cluster.local": [82], OTHER: [9080]}
    assert _seen(mesh) == {BACKEND}
    assert list(clusters(mesh)) == [CLUSTER, f"outbound|9080||{OTHER}", "outbound|82||two.shop.svc.cluster.local"]
    assert list(listeners(mesh, {port: Endpoint("127.0.0.1", port) for port in (82, 9080, 50051)})) == ["0.0.0.0_50051"]
    assert list(configurations(mesh)) == ["50051"]


def test_a_host_that_is_imported_too_is_no_mere_destination() -> None:
    """It is seen whole, whatever ports a VirtualService names of it."""
    mesh = shop(virtual_service({"http": [{"route": to("other", port={"number": 9080})}]}), _sidecar("./*"))
    assert scope(mesh).destinations == ()
    assert _seen(mesh) == {BACKEND, OTHER, GATE}


def test_rules_for_callers_elsewhere_lead_nowhere_here() -> None:
    """sourceNamespace of all matches is another."""
    rule = {"match": [{"sourceNamespace": "elsewhere"}], "route": to("other", port={"number": 9080})}
    mesh = shop(virtual_service({"http": [rule, {"route": to()}]}), _sidecar(f"./{BACKEND}"))
    assert _seen(mesh) == {BACKEND}


def test_a_host_is_found_by_its_name() -> None:
    """None for one that is not seen."""
    found = scope(shop(_sidecar(f"./{BACKEND}")))
    host = found.host(BACKEND)
    assert host is not None
    assert (host.namespace, host.service is not None, host.entry) == ("shop", True, None)
    assert found.host(OTHER) is None


def test_rules_are_found_by_their_host() -> None:
    """Fully qualified, within one namespace."""
    found = scope(shop(destination_rule({})))
    assert [rule.name for rule in found.destination_rules["shop"].most_specific(BACKEND)] == ["backend"]
    assert "elsewhere" not in found.destination_rules


def test_the_root_namespace_may_hold_nothing() -> None:
    """Istio's own example asks for ./* and istio-system/*; a namespace that has nothing here adds nothing."""
    own = scope(shop(_sidecar("./*")))
    found = scope(
        shop(_sidecar("./*", "istio-system/*", "monitoring/*", "kube-system/kube-dns.kube-system.svc.cluster.local"))
    )
    assert [host.name for host in found.hosts] == [host.name for host in own.hosts]


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        (["backend"], "'backend' is no namespace/host: write ./host, namespace/host"),
        (["a/b/c"], "'a/b/c' is no namespace/host"),
        (["no_where/*"], "no_where is no namespace: correct it"),
        (["./*svc.cluster.local"], r"\*svc.cluster.local is no host of shop: write a name, \*.name or \*"),
        (["./backend"], "backend is no host of shop: write backend.shop.svc.cluster.local"),
        (["./a.example.com"], "a.example.com is no host of shop: correct it, or add it"),
        ([f"elsewhere/{BACKEND}"], f"{BACKEND} is no host of elsewhere"),
        (["~/backend"], r"'~/backend': ~ stands for nothing at all: write ~/\* alone"),
        (["~/*", "./*"], r"'~/\*': ~ stands for nothing at all"),
        (["~no_where/*"], "no_where is no namespace"),
    ],
)
def test_a_host_that_is_none_is_refused(hosts: list[str], message: str) -> None:
    """File, document, field path, and what to do."""
    with pytest.raises(
        ManifestError, match=rf"case.yaml document 1 \(Sidecar case\): spec.egress\[0\].hosts.*: {message}"
    ):
        shop(_sidecar(*hosts))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ingress": []}, "spec.ingress: is not translated, or no such field"),
        ({"egress": [{"hosts": ["./*"], "port": {}}]}, r"spec.egress\[0\].port: is not translated"),
        ({"egress": [{"hosts": []}]}, r"spec.egress\[0\].hosts: tuple should have at least 1 item"),
        ({"egress": [{"hosts": ["./*"]}] * 2}, "spec.egress: tuple should have at most 1 item"),
        ({"egress": [{"host": ["./*"]}]}, r"spec.egress\[0\].hosts: is missing|spec.egress\[0\].host: is not"),
        ({"outboundTrafficPolicy": {"mode": "ANY"}}, "spec.outboundTrafficPolicy.mode: input should be"),
        ({"workloadSelector": {"labels": {"app": "client"}}}, "spec: says nothing: write egress or outboundTraffic"),
        (
            {"workloadSelector": {"labels": {"app": "nobody"}}, "egress": [{"hosts": ["./*"]}]},
            "spec.workloadSelector.labels: select no workload of shop",
        ),
    ],
)
def test_a_sidecar_that_means_nothing_is_refused(spec: dict[str, Any], message: str) -> None:
    """Listeners of one's own are not translated; a selector selects somebody."""
    with pytest.raises(ManifestError, match=rf"case.yaml document 1 \(Sidecar case\): ({message})"):
        shop(document("Sidecar", spec))


def test_one_sidecar_is_for_a_namespace() -> None:
    """istiod would take the oldest."""
    with pytest.raises(ManifestError, match=r"Sidecar b\): spec: .*Sidecar a\) is for the whole namespace already"):
        shop(_sidecar("./*", name="a"), _sidecar("./*", name="b"))
