"""What one Envoy is given: its resources as Envoy's own messages, and the same as the JSON texts of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from mesh.sidecar.messages import pack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from envoy.config.cluster.v3 import cluster_pb2
    from envoy.config.endpoint.v3 import endpoint_pb2
    from envoy.config.listener.v3 import listener_pb2
    from envoy.config.route.v3 import route_pb2
    from google.protobuf.message import Message


@dataclass
class Resources:
    """One proxy's configuration. Secrets are named, not held: their files are written by who owns the keys."""

    listeners: list[listener_pb2.Listener] = field(default_factory=list)
    clusters: list[cluster_pb2.Cluster] = field(default_factory=list)
    routes: list[route_pb2.RouteConfiguration] = field(default_factory=list)
    endpoints: list[endpoint_pb2.ClusterLoadAssignment] = field(default_factory=list)


def as_dict(message: Message) -> dict[str, Any]:
    """A message as Envoy's JSON, typed_config inside taken apart."""
    return json_format.MessageToDict(message)


def file_text(messages: Iterable[Message]) -> str:
    """The text of a file for path_config_source. Its version_info is a hash of the rest, which Envoy reports again."""
    # A line each and no indentation, with which Python's encoder in C is not used: most of the cost of a file.
    resources = ",\n".join(json.dumps(as_dict(pack(message))) for message in messages)
    version = hashlib.sha256(resources.encode()).hexdigest()[:16]
    return f'{{"version_info": {json.dumps(version)},\n"resources": [{resources}]}}\n'


def version_of(text: str) -> str:
    """The version_info of such a text."""
    return str(json.loads(text.partition("\n")[0].removesuffix(",") + "}")["version_info"])
