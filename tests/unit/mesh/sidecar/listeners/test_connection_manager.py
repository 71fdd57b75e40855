"""The HTTP connection manager by role, and the order of its filters."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.listeners import connection_manager
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.resources import as_dict
from tests.unit.mesh.sidecar.serving import AUTO, GRPC, HTTP, WEB, document, kinds, manager, mesh_of, proxy

LAST = ["grpc_stats", "fault", "cors", "router"]
SECURED = [
    document("RequestAuthentication", {"jwtRules": [{"issuer": "a", "jwksUri": "https://a.example"}]}),
    document("AuthorizationPolicy", {"rules": [{}]}, "allow"),
    document("AuthorizationPolicy", {"rules": [{}], "action": "DENY"}, "deny"),
]
FILTER = document(
    "EnvoyFilter",
    {
        "workloadSelector": {"labels": {"istio": "gate"}},
        "configPatches": [
            {
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "GATEWAY",
                    "listener": {
                        "filterChain": {
                            "filter": {
                                "name": "envoy.filters.network.http_connection_manager",
                                "subFilter": {"name": "envoy.filters.http.router"},
                            }
                        }
                    },
                },
                "patch": {
                    "operation": "INSERT_BEFORE",
                    "value": {
                        "name": "envoy.filters.http.buffer",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
                            "max_request_bytes": 1000,
                        },
                    },
                },
            }
        ],
    },
)
FILTER["apiVersion"] = "networking.istio.io/v1alpha3"


def _outbound(mesh: Mesh, protocol: Protocol = Protocol.HTTP) -> dict[str, Any]:
    found = connection_manager.make_outbound_manager(mesh, proxy(mesh), "80", "outbound_0.0.0.0_80;", protocol)
    config: dict[str, Any] = as_dict(found)["typedConfig"]
    return config


def _gateway(mesh: Mesh, protocol: Any = Protocol.HTTP) -> dict[str, Any]:
    own = proxy(mesh, "gate", is_gateway=True)
    found = connection_manager.make_gateway_manager(mesh, own, "http.8080", "outbound_0.0.0.0_8080;", protocol)
    config: dict[str, Any] = as_dict(found)["typedConfig"]
    return config


ROLES = [manager, _outbound, _gateway]


@pytest.mark.parametrize("role", ROLES)
def test_what_all_have(role: Any) -> None:
    """Paths are made plain, no stream is ended for being idle, the sampling is in the request's id."""
    found = role(mesh_of())
    assert found["normalizePath"] is True
    assert found["pathWithEscapedSlashesAction"] == "KEEP_UNCHANGED"
    assert "mergeSlashes" not in found
    assert found["streamIdleTimeout"] == "0s"
    assert found["upgradeConfigs"] == [{"upgradeType": "websocket"}]
    assert found["proxy100Continue"] is True
    assert found["requestIdExtension"]["typedConfig"]["useRequestIdForTraceSampling"] is True
    assert "internalAddressConfig" not in found
    assert "tracing" not in found


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (
            manager,
            {
                "useRemoteAddress": False,
                "serverName": "istio-envoy",
                "forwardClientCertDetails": "APPEND_FORWARD",
                "setCurrentClientCertDetails": {"subject": True, "dns": True, "uri": True},
                "statPrefix": "inbound_0.0.0.0_8080;",
            },
        ),
        (_outbound, {"useRemoteAddress": False, "statPrefix": "outbound_0.0.0.0_80;"}),
        (
            _gateway,
            {
                "useRemoteAddress": True,
                "serverName": "istio-envoy",
                "forwardClientCertDetails": "SANITIZE_SET",
                "setCurrentClientCertDetails": {"subject": True, "cert": True, "dns": True, "uri": True},
                "httpProtocolOptions": {},
                "statPrefix": "outbound_0.0.0.0_8080;",
            },
        ),
    ],
)
def test_what_each_role_has_of_its_own(role: Any, expected: dict[str, Any]) -> None:
    """Whose address counts, and what becomes of x-forwarded-client-cert."""
    names = {
        *("useRemoteAddress", "serverName", "forwardClientCertDetails", "setCurrentClientCertDetails"),
        *("httpProtocolOptions", "http2ProtocolOptions", "statPrefix"),
    }
    assert {name: value for name, value in role(mesh_of()).items() if name in names} == expected


@pytest.mark.parametrize(("port", "expected"), [(HTTP, False), (GRPC, True), (WEB, True), (AUTO, False)])
def test_an_http2_port(*, port: int, expected: bool) -> None:
    """Says so, for Envoy's limits of it."""
    assert ("http2ProtocolOptions" in manager(mesh_of(), port)) is expected


@pytest.mark.parametrize(
    ("role", "name", "path"),
    [(_outbound, "80", "./routes/80.json"), (_gateway, "http.8080", "./routes/http.8080.json")],
)
def test_routes_come_from_a_file(role: Any, name: str, path: str) -> None:
    """By their name."""
    found = role(mesh_of())["rds"]
    assert found["routeConfigName"] == name
    assert found["configSource"]["pathConfigSource"] == {"path": path}


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (manager, ["jwt_authn", "rbac", "rbac", *LAST]),
        (_outbound, LAST),
        (_gateway, ["jwt_authn", "rbac", "rbac", "grpc_stats", "fault", "cors", "buffer", "router"]),
    ],
)
def test_the_order_of_filters(role: Any, expected: list[str]) -> None:
    """Tokens, DENY, ALLOW, then what routes ask for; an app's own calls are held to no policy."""
    found = role(mesh_of(*SECURED, FILTER))["httpFilters"]
    assert kinds(found) == expected
    actions = [
        http_filter["typedConfig"]["rules"].get("action", "ALLOW")
        for http_filter in found
        if http_filter["name"].endswith("rbac")
    ]
    assert actions == ["DENY", "ALLOW"][: len(actions)]


@pytest.mark.parametrize("role", ROLES)
def test_without_policies_only_what_routes_ask_for(role: Any) -> None:
    """The router is last."""
    assert kinds(role(mesh_of())["httpFilters"]) == LAST


def test_grpc_web() -> None:
    """Where a port speaks it, on each side."""
    expected = ["grpc_web", *LAST]
    mesh = mesh_of()
    assert kinds(manager(mesh, WEB)["httpFilters"]) == expected
    assert kinds(_outbound(mesh, Protocol.GRPC_WEB)["httpFilters"]) == expected
    assert kinds(_gateway(mesh, "GRPC-WEB")["httpFilters"]) == expected


@pytest.mark.parametrize("role", ROLES)
def test_calls_are_traced_logged_and_counted(role: Any) -> None:
    """By the same Telemetry in each role; metrics without one too."""
    said = document("Telemetry", {"accessLogging": [{"providers": [{"name": "envoy"}]}]})
    found = role(mesh_of(said, otlp_collector=("collector.shop.svc.cluster.local", 4317)))
    assert kinds(found["accessLog"]) == ["file", "stats", "stats"]
    assert "tracing" in found
    assert kinds(role(mesh_of())["accessLog"]) == ["stats", "stats"]
