"""How a proxy speaks TLS with an endpoint: the mesh's mTLS, by choice or by what the endpoint can do, or other roots.

Owns the transport sockets of outbound clusters. A name that the other side must prove is always demanded: where nobody
is known to be behind a host, nobody is accepted. Called by `mesh.sidecar.clusters.outbound`.
Source: istio/istio pilot/pkg/networking/core/cluster_tls.go.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import struct_pb2

from mesh.sidecar.messages import make_transport_socket, refer_to_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envoy.config.core.v3 import base_pb2
    from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

    from mesh.manifests.istio.traffic_policy import ClientTls
    from mesh.sidecar.mesh import Mesh


def nobody(mesh: Mesh) -> str:
    """An identity that no workload has, since it names no account: demanded where none is known."""
    return f"spiffe://{mesh.settings.trust_domain}/nobody"


def make_mesh_socket(mesh: Mesh, sni: str, alpn: Sequence[str], sans: Iterable[str]) -> base_pb2.TransportSocket:
    """The transport socket of the mesh's mTLS: own certificate, one of these identities on the other side."""
    context = tls_pb2.UpstreamTlsContext(sni=sni)
    common = context.common_tls_context
    common.tls_params.CopyFrom(_make_parameters())
    common.alpn_protocols.extend(alpn)
    common.tls_certificate_sds_secret_configs.append(refer_to_secret("default"))
    validation = common.combined_validation_context
    validation.validation_context_sds_secret_config.CopyFrom(refer_to_secret("ROOTCA"))
    matchers = [_match_name(common_pb2.SubjectAltNameMatcher.URI, san) for san in sorted(set(sans)) or [nobody(mesh)]]
    validation.default_validation_context.match_typed_subject_alt_names.extend(matchers)
    return make_transport_socket("tls", context)


def match_endpoints(mesh_socket: base_pb2.TransportSocket) -> list[cluster_pb2.Cluster.TransportSocketMatch]:
    """Matches by which an endpoint that is marked to speak mTLS gets it, and any other plain text."""
    istio, other = struct_pb2.Struct(), struct_pb2.Struct()
    istio.update({"tlsMode": "istio"})
    match, plain = cluster_pb2.Cluster.TransportSocketMatch, raw_buffer_pb2.RawBuffer()
    return [
        match(name="tlsMode-istio", match=istio, transport_socket=mesh_socket),
        match(name="tlsMode-disabled", match=other, transport_socket=make_transport_socket("raw_buffer", plain)),
    ]


def make_own_socket(mesh: Mesh, tls: ClientTls, sans: Sequence[str], *, http2: bool) -> base_pb2.TransportSocket:
    """The transport socket of modes SIMPLE and MUTUAL, whose certificates Envoy reads from the rule's files; without
    one of authorities it is the system's."""
    context = tls_pb2.UpstreamTlsContext(sni=tls.sni)
    common = context.common_tls_context
    common.tls_params.CopyFrom(_make_parameters())
    if tls.mode == "MUTUAL":
        certificate = common.tls_certificates.add()
        certificate.certificate_chain.filename = tls.client_certificate
        certificate.private_key.filename = tls.private_key
    if tls.insecure_skip_verify:
        common.validation_context.SetInParent()
    else:
        common.validation_context.trusted_ca.filename = tls.ca_certificates or mesh.settings.system_ca_file
        matchers = (_match_name(_san_type(san), san) for san in sans)
        common.validation_context.match_typed_subject_alt_names.extend(matchers)
    if http2:
        common.alpn_protocols.append("h2")
    return make_transport_socket("tls", context)


def set_automatic_names(options: http_protocol_options_pb2.HttpProtocolOptions, tls: ClientTls) -> None:
    """Takes the server's name from the request where the rule has none, and holds the certificate to it."""
    if tls.sni:
        return
    options.upstream_http_protocol_options.auto_sni = True
    if not tls.subject_alt_names and not tls.insecure_skip_verify:
        options.upstream_http_protocol_options.auto_san_validation = True


def _make_parameters() -> common_pb2.TlsParameters:
    versions = common_pb2.TlsParameters
    return versions(tls_minimum_protocol_version=versions.TLSv1_2, tls_maximum_protocol_version=versions.TLSv1_3)


def _match_name(
    kind: common_pb2.SubjectAltNameMatcher.SanType.ValueType, name: str
) -> common_pb2.SubjectAltNameMatcher:
    return common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=name))


def _san_type(name: str) -> common_pb2.SubjectAltNameMatcher.SanType.ValueType:
    if "://" in name:
        return common_pb2.SubjectAltNameMatcher.URI
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return common_pb2.SubjectAltNameMatcher.DNS
    return common_pb2.SubjectAltNameMatcher.IP_ADDRESS
