"""The small messages that all parts of a configuration are made with: times, addresses, secrets, filters.

Owns how each of them is written, so that it is written the same everywhere. Knows no manifest and no proxy. Called by
the packages of this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2

from mesh.sidecar.sources import config_source

if TYPE_CHECKING:
    from datetime import timedelta

    from envoy.config.listener.v3 import listener_pb2
    from google.protobuf.message import Message

    from mesh.sidecar.proxy import Endpoint


def pack(message: Message) -> any_pb2.Any:
    """A message as typed_config."""
    found = any_pb2.Any()
    found.Pack(message)
    return found


def to_duration(value: timedelta) -> duration_pb2.Duration:
    """A time as Envoy writes it."""
    found = duration_pb2.Duration()
    found.FromTimedelta(value)
    return found


def to_uint32(value: int) -> wrappers_pb2.UInt32Value:
    """A number where Envoy distinguishes 0 from unset."""
    return wrappers_pb2.UInt32Value(value=value)


def to_address(endpoint: Endpoint, *, pipe_mode: int = 0) -> address_pb2.Address:
    """Where to connect or listen. `pipe_mode`: who may open a socket that Envoy makes; 0 for one that is there."""
    if endpoint.path:
        return address_pb2.Address(pipe=address_pb2.Pipe(path=endpoint.path, mode=pipe_mode))
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=endpoint.ip, port_value=endpoint.port))


def refer_to_secret(name: str) -> secret_pb2.SdsSecretConfig:
    """A reference to the file of a certificate, or of the authorities that are trusted."""
    return secret_pb2.SdsSecretConfig(name=name, sds_config=config_source("secrets", name))


def make_transport_socket(kind: Literal["tls", "raw_buffer"], config: Message) -> base_pb2.TransportSocket:
    """A transport socket of that kind."""
    return base_pb2.TransportSocket(name=f"envoy.transport_sockets.{kind}", typed_config=pack(config))


def make_network_filter(name: str, config: Message) -> listener_components_pb2.Filter:
    """A filter of a filter chain; `name` is the last part of Envoy's."""
    return listener_components_pb2.Filter(name=f"envoy.filters.network.{name}", typed_config=pack(config))


def make_http_filter(name: str, config: Message) -> http_connection_manager_pb2.HttpFilter:
    """A filter of an HTTP connection manager; `name` is the last part of Envoy's."""
    return http_connection_manager_pb2.HttpFilter(name=f"envoy.filters.http.{name}", typed_config=pack(config))


def add_inspector(listener: listener_pb2.Listener, kind: Literal["tls", "http"], config: Message) -> None:
    """Adds a listener filter that reads a connection's first bytes, for filter chains to be chosen by."""
    listener.listener_filters.add(name=f"envoy.filters.listener.{kind}_inspector", typed_config=pack(config))
    listener.listener_filters_timeout.SetInParent()  # zero: a caller that says nothing is waited for
    listener.continue_on_listener_filters_timeout = True
