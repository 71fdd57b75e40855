"""EnvoyFilter: the filters of known types that a gateway gets, where, what is merged into its connection manager, and
the refusal of everything else."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import descriptor_pb2

from mesh.manifests.errors import ManifestError
from mesh.sidecar.listeners import envoy_filters
from mesh.sidecar.resources import as_dict
from tests.unit.mesh.sidecar.shop import proxy, shop

TYPE = "type.googleapis.com/envoy.extensions.filters.http."
ROUTER = "envoy.filters.http.router"


def _descriptors() -> str:
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop.v1")
    file.service.add(name="Shop")
    return base64.b64encode(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()).decode()


TRANSCODER = {
    "@type": f"{TYPE}grpc_json_transcoder.v3.GrpcJsonTranscoder",
    "proto_descriptor_bin": _descriptors(),
    "services": ["shop.v1.Shop"],
    "print_options": {"always_print_primitive_fields": True},
}
ALWAYS = {"default_value": {"numerator": 100}}
LIMIT = {
    "@type": f"{TYPE}local_ratelimit.v3.LocalRateLimit",
    "stat_prefix": "gate",
    "token_bucket": {"max_tokens": 10, "fill_interval": "1s"},
    "filter_enabled": ALWAYS,
    "filter_enforced": ALWAYS,
}
BUFFER = {"@type": f"{TYPE}buffer.v3.Buffer", "max_request_bytes": 1024}
MATCHED = {
    "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
    "xds_matcher": {
        "matcher_list": {
            "matchers": [
                {
                    "predicate": {
                        "single_predicate": {
                            "input": {
                                "name": "path",
                                "typed_config": {
                                    "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                                    "header_name": ":path",
                                },
                            },
                            "value_match": {"prefix": "/big"},
                        }
                    },
                    "on_match": {
                        "action": {
                            "name": "skip",
                            "typed_config": {
                                "@type": "type.googleapis.com/"
                                "envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
                            },
                        }
                    },
                }
            ]
        }
    },
    "extension_config": {"name": "envoy.filters.http.buffer", "typed_config": BUFFER},
}


LUA = {"@type": f"{TYPE}lua.v3.Lua", "default_source_code": {"inline_string": "function envoy_on_request(h) end"}}
MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
REPLIES = {
    "@type": MANAGER,
    "http_protocol_options": {"accept_http_10": True},
    "local_reply_config": {"body_format": {"json_format": {"message": "%LOCAL_REPLY_BODY%"}}},
}


def _merge(config: dict[str, Any], name: str = "m", **more: Any) -> dict[str, Any]:
    found = _filter(config, name, first=True, **more)
    found["spec"]["configPatches"][0]["applyTo"] = "NETWORK_FILTER"
    found["spec"]["configPatches"][0]["patch"]["operation"] = "MERGE"
    return found


def _filter(config: dict[str, Any], name: str = "a", *, first: bool = False, **more: Any) -> dict[str, Any]:
    network: dict[str, Any] = {"name": "envoy.filters.network.http_connection_manager"}
    if not first:
        network["subFilter"] = {"name": ROUTER}
    patch = {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": network}}},
        "patch": {
            "operation": "INSERT_FIRST" if first else "INSERT_BEFORE",
            "value": {"name": name, "typed_config": config},
        },
    }
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"workloadSelector": {"labels": {"istio": "gate"}}, "configPatches": [patch], **more},
    }


def _applied(*documents: dict[str, Any], pod: str = "gate") -> list[Any]:
    return [as_dict(http_filter) for http_filter in _patched(*documents, pod=pod).http_filters]


def _patched(*documents: dict[str, Any], pod: str = "gate") -> http_connection_manager_pb2.HttpConnectionManager:
    """A connection manager of two filters, and of what a gateway's own has."""
    mesh = shop(*documents)
    manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix="gate")
    manager.http_protocol_options.SetInParent()
    for name in ("envoy.filters.http.cors", ROUTER):
        manager.http_filters.add(name=name)
    envoy_filters.patch_manager(mesh, proxy(mesh, pod), manager)
    return manager


def _names(*documents: dict[str, Any], pod: str = "gate") -> list[str]:
    return [http_filter["name"] for http_filter in _applied(*documents, pod=pod)]


def test_a_filter_comes_right_before_the_router() -> None:
    """The transcoder, read as Envoy's own message."""
    _, found, router = _applied(_filter(TRANSCODER))
    assert router["name"] == ROUTER
    assert found["typedConfig"] == {
        "@type": TRANSCODER["@type"],
        "protoDescriptorBin": TRANSCODER["proto_descriptor_bin"],
        "services": ["shop.v1.Shop"],
        "printOptions": {"alwaysPrintPrimitiveFields": True},
    }


@pytest.mark.parametrize("config", [LIMIT, BUFFER, MATCHED, LUA], ids=["limit", "buffer", "matched", "lua"])
def test_limits_and_scripts_are_known_too(config: dict[str, Any]) -> None:
    """A rate limit, a size limit, one that some requests skip, and a script."""
    found = _applied(_filter(config))[1]
    assert found["typedConfig"]["@type"] == config["@type"]


def test_the_order_is_istiods() -> None:
    """Each goes before the router, so the later is the nearer; first of all is what has no subFilter."""
    found = _names(_filter(BUFFER, "b"), _filter(TRANSCODER, "c"), _filter(LIMIT, "a", first=True))
    assert found == ["a", "envoy.filters.http.cors", "b", "c", ROUTER]
    before = _filter(LIMIT, "a", first=True)
    before["spec"]["configPatches"][0]["patch"]["operation"] = "INSERT_BEFORE"
    assert _names(before)[0] == "a"


def test_priority_and_root_namespace_come_before_age() -> None:
    """A lower priority is applied earlier; of equal ones those of the root namespace."""
    late = _filter(BUFFER, "a", priority=1)
    root = _filter(LIMIT, "c")
    root["metadata"]["namespace"] = "istio-system"
    assert _names(late, _filter(BUFFER, "b"), root)[1:-1] == ["c", "b", "a"]


def test_what_is_merged_is_added_to_the_connection_manager() -> None:
    """Fields of it are set beside what is there; lists of two patches follow each other, by priority."""
    mapper: dict[str, Any] = {"filter": {"not_health_check_filter": {}}}
    config = {"@type": MANAGER, "local_reply_config": {"mappers": [{**mapper, "status_code": 400}]}}
    later = {"@type": MANAGER, "local_reply_config": {"mappers": [{**mapper, "status_code": 500}]}}
    found = _patched(_merge(later, "a", priority=2), _merge(config, "b", priority=1), _merge(REPLIES, "c"))
    assert found.stat_prefix == "gate"
    assert found.http_protocol_options.accept_http_10
    assert [reply.status_code.value for reply in found.local_reply_config.mappers] == [400, 500]
    assert found.local_reply_config.body_format.json_format["message"] == "%LOCAL_REPLY_BODY%"
    assert not _patched(_merge(REPLIES), pod="backend").HasField("local_reply_config")


def test_only_selected_pods_of_its_namespace_get_it() -> None:
    """Another pod's filters stay as they are."""
    assert _names(_filter(BUFFER), pod="backend") == ["envoy.filters.http.cors", ROUTER]


def _with(path: str, value: Any) -> dict[str, Any]:
    said = copy.deepcopy(_filter(BUFFER))
    *parents, last = path.split(".")
    here: Any = said["spec"]
    for parent in parents:
        here = here[int(parent)] if parent.isdigit() else here[parent]
    here[last] = value
    return said


def _merge_before_router() -> dict[str, Any]:
    said = _filter(REPLIES, "a")
    said["spec"]["configPatches"][0]["applyTo"] = "NETWORK_FILTER"
    said["spec"]["configPatches"][0]["patch"]["operation"] = "MERGE"
    return said


PATCH = "configPatches.0"


@pytest.mark.parametrize(
    ("said", "path", "what"),
    [
        (_with(f"{PATCH}.applyTo", "CLUSTER"), "configPatches[0].applyTo", "'HTTP_FILTER'"),
        (_with(f"{PATCH}.match.context", "ANY"), "configPatches[0].match.context", "'GATEWAY'"),
        (_with(f"{PATCH}.match.context", "SIDECAR_INBOUND"), "configPatches[0].match.context", "'GATEWAY'"),
        (_with(f"{PATCH}.match.proxy", {}), "configPatches[0].match.proxy", "is not translated"),
        (
            _with(f"{PATCH}.match.listener.portNumber", 80),
            "configPatches[0].match.listener.portNumber",
            "not translated",
        ),
        (
            _with(f"{PATCH}.match.listener.filterChain.filter.name", "envoy.http_connection_manager"),
            "configPatches[0].match.listener.filterChain.filter.name",
            "'envoy.filters.network.http_connection_manager'",
        ),
        (
            _with(f"{PATCH}.match.listener.filterChain.filter.subFilter.name", "envoy.router"),
            "configPatches[0].match.listener.filterChain.filter.subFilter.name",
            "'envoy.filters.http.router'",
        ),
        (_with(f"{PATCH}.patch.operation", "ADD"), "configPatches[0].patch.operation", "'INSERT_BEFORE'"),
        (_with(f"{PATCH}.patch.operation", "MERGE"), "configPatches[0].patch.operation", "'INSERT_BEFORE'"),
        (_with(f"{PATCH}.applyTo", "NETWORK_FILTER"), "configPatches[0].patch.operation", "write 'MERGE'"),
        (_merge_before_router(), "configPatches[0].patch.operation", "no subFilter"),
        (_with(f"{PATCH}.patch.operation", "INSERT_FIRST"), "configPatches[0].patch.operation", "no subFilter"),
        (_with(f"{PATCH}.patch.value.disabled", True), "configPatches[0].patch.value.disabled", "is not translated"),
        (_with("configPatches", []), "configPatches", "at least 1 item"),
        (_with("targetRefs", []), "targetRefs", "is not translated"),
        (_with("workloadSelector.labels", {"istio": "gaet"}), "workloadSelector.labels", "no workload has"),
    ],
)
def test_another_form_is_refused(said: dict[str, Any], path: str, what: str) -> None:
    """By the field that leaves the two forms."""
    with pytest.raises(ManifestError) as error:
        shop(said)
    assert str(error.value).startswith(f"case.yaml document 1 (EnvoyFilter a): spec.{path}: ")
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({}, "@type is missing"),
        ({"@type": f"{TYPE}tap.v3.Tap"}, "only these are translated"),
        ({**BUFFER, "max_bytes": 1}, "max_bytes"),
        ({**BUFFER, "max_request_bytes": "many"}, "max_request_bytes"),
        ({"@type": BUFFER["@type"]}, "max_request_bytes is missing"),
        ({**TRANSCODER, "services": []}, "services is empty"),
        ({**TRANSCODER, "services": ["shop.v1.Shpo"]}, "shop.v1.Shpo is not in proto_descriptor_bin"),
        ({**TRANSCODER, "proto_descriptor_bin": "////"}, "no FileDescriptorSet"),
        ({"@type": TRANSCODER["@type"], "services": ["a"]}, "proto_descriptor_bin is missing"),
        ({"@type": LUA["@type"]}, "default_source_code.inline_string is missing"),
        ({**LUA, "default_source_code": {"filename": "/a"}}, "default_source_code.inline_string is missing"),
        ({**LIMIT, "stat_prefix": ""}, "stat_prefix is missing"),
        ({**LIMIT, "token_bucket": {"max_tokens": 1, "fill_interval": "0.01s"}}, "at least 50 ms"),
        ({field: LIMIT[field] for field in LIMIT if field != "filter_enforced"}, "filter_enforced is missing"),
        ({field: MATCHED[field] for field in MATCHED if field != "xds_matcher"}, "xds_matcher is missing"),
        ({field: MATCHED[field] for field in MATCHED if field != "extension_config"}, "no filter is not translated"),
        (
            {**MATCHED, "extension_config": {"name": "b", "typed_config": {"@type": BUFFER["@type"]}}},
            "max_request_bytes is missing",
        ),
    ],
)
def test_a_filter_that_envoy_would_refuse(config: dict[str, Any], what: str) -> None:
    """A type that is not known, a field that is none, and what Envoy asks for."""
    with pytest.raises(ManifestError) as error:
        shop(_filter(config))
    prefix = "case.yaml document 1 (EnvoyFilter a): spec.configPatches[0].patch.value.typed_config: "
    assert str(error.value).startswith(prefix)
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({}, "@type is missing"),
        (BUFFER, f"only {MANAGER} is merged"),
        ({"@type": MANAGER}, "nothing is merged"),
        ({"@type": MANAGER, "stream_idle_timeout": "1s"}, "stream_idle_timeout: only these fields are merged"),
        ({"@type": MANAGER, "local_replies": {}}, "local_replies"),
        ({"@type": MANAGER, "local_reply_config": {"mappers": [{}]}}, "mappers[0].filter is missing"),
    ],
)
def test_a_field_that_is_not_merged(config: dict[str, Any], what: str) -> None:
    """Another type, a field that is not known here, and what Envoy asks for."""
    with pytest.raises(ManifestError) as error:
        shop(_merge(config))
    prefix = "case.yaml document 1 (EnvoyFilter m): spec.configPatches[0].patch.value.typed_config: "
    assert str(error.value).startswith(prefix)
    assert what in str(error.value)
