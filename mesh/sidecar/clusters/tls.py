"""How a proxy speaks TLS with an endpoint: the mesh's mTLS, by choice or by what the endpoint can do, or other roots.

Owns the transport sockets of outbound clusters. A name that the other side must prove is always demanded: where nobody
is known to be behind a host, nobody is accepted. Called by `mesh.sidecar.clusters.outbound`.
Source: istio/istio pilot/pkg/networking/core/cluster_tls.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import struct_pb2

from mesh.sidecar.resources import packed
from mesh.sidecar.sources import config_source

if TYPE_CHECKING:
    from mesh.manifests.istio.traffic_policy import ClientTls
    from mesh.sidecar.mesh import Mesh

_SAN = common_pb2.SubjectAltNameMatcher


def nobody(mesh: Mesh) -> str:
    """An identity that no workload has, since it names no account: demanded where none is known."""
    return f"spiffe://{mesh.settings.trust_domain}/nobody"


def mutual(mesh: Mesh, sni: str, alpn: Sequence[str], sans: Iterable[str]) -> Any:
    """The transport socket of the mesh's mTLS: own certificate, one of these identities on the other side."""
    context = tls_pb2.UpstreamTlsContext(sni=sni)
    common = context.common_tls_context
    common.tls_params.CopyFrom(_parameters())
    common.alpn_protocols.extend(alpn)
    common.tls_certificate_sds_secret_configs.append(_secret("default"))
    validation = common.combined_validation_context
    validation.validation_context_sds_secret_config.CopyFrom(_secret("ROOTCA"))
    matchers = [_san("URI", each) for each in sorted(set(sans)) or [nobody(mesh)]]
    validation.default_validation_context.match_typed_subject_alt_names.extend(matchers)
    return _socket("tls", context)


def by_endpoint(mutual_socket: Any) -> list[Any]:
    """Matches by which an endpoint that is marked to speak mTLS gets it, and any other plain text."""
    istio, other = struct_pb2.Struct(), struct_pb2.Struct()
    istio.update({"tlsMode": "istio"})
    match = cluster_pb2.Cluster.TransportSocketMatch
    return [
        match(name="tlsMode-istio", match=istio, transport_socket=mutual_socket),
        match(name="tlsMode-disabled", match=other, transport_socket=_socket("raw_buffer", raw_buffer_pb2.RawBuffer())),
    ]


def originated(tls: ClientTls, sans: Sequence[str], *, http2: bool) -> Any:
    """The transport socket of modes SIMPLE and MUTUAL, whose certificates Envoy reads from the rule's files."""
    context = tls_pb2.UpstreamTlsContext(sni=tls.sni)
    common = context.common_tls_context
    common.tls_params.CopyFrom(_parameters())
    if tls.mode == "MUTUAL":
        certificate = common.tls_certificates.add()
        certificate.certificate_chain.filename = tls.client_certificate
        certificate.private_key.filename = tls.private_key
    if tls.insecure_skip_verify:
        common.validation_context.SetInParent()
    else:
        common.validation_context.trusted_ca.filename = tls.ca_certificates
        common.validation_context.match_typed_subject_alt_names.extend(_san(_san_type(each), each) for each in sans)
    if http2:
        common.alpn_protocols.append("h2")
    return _socket("tls", context)


def set_automatic_names(options: Any, tls: ClientTls) -> None:
    """Takes the server's name from the request where the rule has none, and holds the certificate to it."""
    if tls.sni:
        return
    options.upstream_http_protocol_options.auto_sni = True
    if not tls.subject_alt_names and not tls.insecure_skip_verify:
        options.upstream_http_protocol_options.auto_san_validation = True


def _parameters() -> Any:
    versions = common_pb2.TlsParameters
    return versions(tls_minimum_protocol_version=versions.TLSv1_2, tls_maximum_protocol_version=versions.TLSv1_3)


def _secret(name: str) -> Any:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=config_source("secrets", name))


def _san(kind: str, name: str) -> Any:
    return _SAN(san_type=_SAN.SanType.Value(kind), matcher=string_pb2.StringMatcher(exact=name))


def _san_type(name: str) -> str:
    if "://" in name:
        return "URI"
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "DNS"
    return "IP_ADDRESS"


def _socket(kind: str, config: Any) -> Any:
    return base_pb2.TransportSocket(name=f"envoy.transport_sockets.{kind}", typed_config=packed(config))
