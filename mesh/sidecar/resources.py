"""What one Envoy is given: its resources as Envoy's own messages, and the same as the JSON texts of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import any_pb2, json_format


@dataclass
class Resources:
    """One proxy's configuration. Secrets are named, not held: their files are written by who owns the keys."""

    listeners: list[Any] = field(default_factory=list)
    """envoy.config.listener.v3.Listener."""
    clusters: list[Any] = field(default_factory=list)
    """envoy.config.cluster.v3.Cluster."""
    routes: list[Any] = field(default_factory=list)
    """envoy.config.route.v3.RouteConfiguration."""
    endpoints: list[Any] = field(default_factory=list)
    """envoy.config.endpoint.v3.ClusterLoadAssignment."""


def packed(message: Any) -> any_pb2.Any:
    """A message as typed_config."""
    found = any_pb2.Any()
    found.Pack(message)
    return found


def as_dict(message: Any) -> Any:
    """A message as Envoy's JSON, typed_config inside taken apart."""
    return json_format.MessageToDict(message)


def file_text(messages: Iterable[Any]) -> str:
    """The text of a file for path_config_source. Its version_info is a hash of the rest, which Envoy tells of again."""
    resources = json.dumps([as_dict(packed(each)) for each in messages], indent=1)
    version = hashlib.sha256(resources.encode()).hexdigest()[:16]
    return f'{{"version_info": "{version}",\n"resources": {resources}}}\n'


def version_of(text: str) -> str:
    """The version_info of such a text."""
    return str(json.loads(text.partition("\n")[0].removesuffix(",") + "}")["version_info"])
