"""What a sidecar asks of those who connect to it by mutual TLS: a certificate of the mesh's own authority and domain.

Owns the transport socket of inbound filter chains. Called by `mesh.sidecar.listeners.inbound`.
Source: istio/istio pilot/pkg/security/authn/utils/utils.go, BuildInboundTLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from mesh.sidecar.messages import make_transport_socket, refer_to_secret

if TYPE_CHECKING:
    from envoy.config.core.v3 import base_pb2

    from mesh.sidecar.mesh import Mesh

_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
"""istiod's list, for TLS 1.2; those of TLS 1.3 are not chosen."""


def make_server_socket(mesh: Mesh) -> base_pb2.TransportSocket:
    """The transport socket: own certificate, and one of the mesh's trust domain demanded of the other side."""
    context = tls_pb2.DownstreamTlsContext(require_client_certificate=wrappers_pb2.BoolValue(value=True))
    common = context.common_tls_context
    common.tls_params.tls_minimum_protocol_version = common_pb2.TlsParameters.TLSv1_2
    common.tls_params.tls_maximum_protocol_version = common_pb2.TlsParameters.TLSv1_3
    common.tls_params.cipher_suites.extend(_CIPHERS)
    common.alpn_protocols.extend(["h2", "http/1.1"])
    common.tls_certificate_sds_secret_configs.append(refer_to_secret("default"))
    validation = common.combined_validation_context
    validation.validation_context_sds_secret_config.CopyFrom(refer_to_secret("ROOTCA"))
    validation.default_validation_context.match_typed_subject_alt_names.add(
        san_type=common_pb2.SubjectAltNameMatcher.URI,
        matcher=string_pb2.StringMatcher(prefix=f"spiffe://{mesh.settings.trust_domain}/"),
    )
    return make_transport_socket("tls", context)
