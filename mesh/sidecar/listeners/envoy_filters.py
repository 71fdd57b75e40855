"""EnvoyFilter, in the two forms that the ingress gateway needs: an HTTP filter of a known type in a gateway's chain,
and known fields of its connection manager.

Known are the gRPC-JSON transcoder, the local rate limit, the size limit and Lua, each also under an
ExtensionWithMatcher; of the connection manager local replies and HTTP/1. Their typed_config is read as Envoy's own
message and held to what Envoy asks of it. Every other type and field is refused by name. Called by
`mesh.sidecar.listeners.connection_manager`. Source: istio/istio
pilot/pkg/networking/core/envoyfilter/listener_patch.go and pilot/pkg/model/push_context.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.grpc_json_transcoder.v3 import transcoder_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from google.protobuf import descriptor_pb2, json_format, message

from mesh.manifests.document import Resource
from mesh.manifests.istio.envoy_filter import ConfigPatch, EnvoyFilterSpec
from mesh.sidecar.mesh import selects

if TYPE_CHECKING:
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy

_ROUTER = "envoy.filters.http.router"
_PREFIX = "type.googleapis.com/"
_MANAGER = http_connection_manager_pb2.HttpConnectionManager
_MERGED = ("http_protocol_options", "local_reply_config")
"""Fields of the connection manager that are merged: what is set replaces, and lists get longer, as protobuf merges."""
_INSIDE_MATCHERS = (http_inputs_pb2.HttpRequestHeaderMatchInput, skip_action_pb2.SkipFilter)
"""What an ExtensionWithMatcher may hold beside the filter: naming them makes protobuf know them."""


def check_envoy_filter(mesh: Mesh, resource: Resource[EnvoyFilterSpec]) -> None:
    """Raises ManifestError for a filter that Envoy would refuse, or that would do nothing."""
    if not any(_selects(mesh, resource, workload.namespace, workload.labels) for workload in mesh.workloads.values()):
        raise resource.refuse("workloadSelector.labels", "no workload has these labels: correct them")
    for number, patch in enumerate(resource.spec.config_patches):
        path = f"configPatches[{number}].patch"
        fault = _find_operation_fault(patch)
        if fault:
            raise resource.refuse(f"{path}.operation", fault)
        path = f"{path}.value.typed_config"
        try:
            config = _read_manager(patch) if patch.is_merge else _read(patch.patch.value.typed_config)
        except json_format.ParseError as error:
            raise resource.refuse(path, f"{error}: correct it") from error
        for fault in _find_faults(config):
            raise resource.refuse(path, fault)


def _find_operation_fault(patch: ConfigPatch) -> str:
    if patch.is_merge and patch.patch.operation != "MERGE":
        return "the connection manager is there already: write 'MERGE'"
    if patch.is_merge and patch.is_before_router:
        return "MERGE changes the connection manager and looks at no subFilter: remove that"
    if not patch.is_merge and patch.patch.operation == "MERGE":
        return "no filter of ours is changed in its place: write 'INSERT_BEFORE' or 'INSERT_FIRST'"
    if patch.patch.operation == "INSERT_FIRST" and patch.is_before_router:
        return "INSERT_FIRST looks at no subFilter: remove that"
    return ""


def patch_manager(mesh: Mesh, proxy: Proxy, manager: http_connection_manager_pb2.HttpConnectionManager) -> None:
    """Changes a gateway's connection manager by every patch for its pod: those of lower priority first, then of the
    root namespace, then the oldest."""
    for resource in sorted(mesh.all(EnvoyFilterSpec), key=lambda resource: _rank(mesh, resource)):
        if not _selects(mesh, resource, proxy.namespace, proxy.workload.labels):
            continue
        for patch in resource.spec.config_patches:
            if patch.is_merge:
                manager.MergeFrom(_read_manager(patch))
                continue
            made = http_connection_manager_pb2.HttpFilter(name=patch.patch.value.name)
            made.typed_config.Pack(_read(patch.patch.value.typed_config))
            position = _find_router(manager.http_filters) if patch.is_before_router else 0
            manager.http_filters.insert(position, made)


def _rank(mesh: Mesh, resource: Resource[EnvoyFilterSpec]) -> tuple[int, bool, tuple[str, str, str]]:
    return resource.spec.priority, resource.namespace != mesh.settings.root_namespace, resource.age


def _selects(mesh: Mesh, resource: Resource[EnvoyFilterSpec], namespace: str, labels: Mapping[str, str]) -> bool:
    in_reach = resource.namespace in {namespace, mesh.settings.root_namespace}
    return in_reach and selects(resource.spec.workload_selector.labels, labels)


def _find_router(http_filters: Sequence[http_connection_manager_pb2.HttpFilter]) -> int:
    return next(number for number, http_filter in enumerate(http_filters) if http_filter.name == _ROUTER)


def _read(typed_config: Mapping[str, Any]) -> message.Message:
    """The message of a typed_config. Raises ParseError, also for a type that is not known here."""
    name = str(typed_config.get("@type", "")).removeprefix(_PREFIX)
    known = {model.DESCRIPTOR.full_name: model for model in _FAULTS}
    if name not in known:
        types = ", ".join(_PREFIX + name for name in sorted(known))
        raise json_format.ParseError(f"@type {name or 'is missing'}: only these are translated: {types}")
    found: message.Message = known[name]()
    json_format.ParseDict({key: value for key, value in typed_config.items() if key != "@type"}, found)
    return found


def _read_manager(patch: ConfigPatch) -> http_connection_manager_pb2.HttpConnectionManager:
    """The fields that are merged into the connection manager. Raises ParseError, also for one that is not known."""
    typed_config = dict(patch.patch.value.typed_config)
    name = str(typed_config.pop("@type", "")).removeprefix(_PREFIX)
    if name != _MANAGER.DESCRIPTOR.full_name:
        expected = _PREFIX + _MANAGER.DESCRIPTOR.full_name
        raise json_format.ParseError(f"@type {name or 'is missing'}: only {expected} is merged")
    found = json_format.ParseDict(typed_config, _MANAGER())
    for field, _ in found.ListFields():
        if field.name not in _MERGED:
            raise json_format.ParseError(f"{field.name}: only these fields are merged: {', '.join(_MERGED)}")
    return found


def _find_faults(config: message.Message) -> Iterator[str]:
    """What is wrong with a filter, one sentence each."""
    yield from _find_manager_faults(config) if isinstance(config, _MANAGER) else _FAULTS[type(config)](config)


def _find_transcoder_faults(config: transcoder_pb2.GrpcJsonTranscoder) -> Iterator[str]:
    if not config.services:
        yield "services is empty: name those that are called by REST"
    if config.WhichOneof("descriptor_set") not in {"proto_descriptor", "proto_descriptor_bin"}:
        yield "proto_descriptor_bin is missing: put the descriptor set there"
    if not config.proto_descriptor_bin:
        return
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(config.proto_descriptor_bin)
    except message.DecodeError:
        yield "proto_descriptor_bin is no FileDescriptorSet: generate it again"
        return
    known = {f"{file.package}.{service.name}" for file in files.file for service in file.service}
    for service in config.services:
        if service not in known:
            yield f"services: {service} is not in proto_descriptor_bin: correct it or generate the set again"


def _find_rate_limit_faults(config: local_rate_limit_pb2.LocalRateLimit) -> Iterator[str]:
    if not config.stat_prefix:
        yield "stat_prefix is missing: name the limit"
    bucket = config.token_bucket
    if not bucket.max_tokens or bucket.fill_interval.ToMilliseconds() < 50:
        yield "token_bucket: max_tokens above 0 and a fill_interval of at least 50 ms are expected"
    for name in ("filter_enabled", "filter_enforced"):
        if not config.HasField(name):
            yield f"{name} is missing, and without it nothing is limited: give its default_value"


def _find_buffer_faults(config: buffer_pb2.Buffer) -> Iterator[str]:
    if not config.max_request_bytes.value:
        yield "max_request_bytes is missing: write how many bytes a request may have"


def _find_lua_faults(config: lua_pb2.Lua) -> Iterator[str]:
    if config.default_source_code.WhichOneof("specifier") != "inline_string":
        yield "default_source_code.inline_string is missing: put the script there"


def _find_manager_faults(config: http_connection_manager_pb2.HttpConnectionManager) -> Iterator[str]:
    if not config.ListFields():
        yield f"nothing is merged: write one of {', '.join(_MERGED)}"
    for number, mapper in enumerate(config.local_reply_config.mappers):
        if not mapper.HasField("filter"):
            yield f"local_reply_config.mappers[{number}].filter is missing: write which replies are meant"


def _find_matcher_faults(config: extension_matcher_pb2.ExtensionWithMatcher) -> Iterator[str]:
    if not config.HasField("xds_matcher"):
        yield "xds_matcher is missing: write when the filter is skipped, or leave the matcher out"
    inner = config.extension_config.typed_config
    for model in (model for model in _FAULTS if model is not extension_matcher_pb2.ExtensionWithMatcher):
        found = model()
        if inner.Unpack(found):
            yield from _find_faults(found)
            return
    yield f"extension_config: {inner.TypeName() or 'no filter'} is not translated: write one that is without a matcher"


_FAULTS: Mapping[type[message.Message], Callable[[Any], Iterator[str]]] = {
    transcoder_pb2.GrpcJsonTranscoder: _find_transcoder_faults,
    local_rate_limit_pb2.LocalRateLimit: _find_rate_limit_faults,
    buffer_pb2.Buffer: _find_buffer_faults,
    lua_pb2.Lua: _find_lua_faults,
    extension_matcher_pb2.ExtensionWithMatcher: _find_matcher_faults,
}
"""What is looked at in each filter that is translated."""
