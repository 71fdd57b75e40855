"""Where an Envoy finds its resources: one file a kind or resource, below the folder in which the Envoy is started.

Owns the names of these files and nothing of their contents. Every reference from one resource to another comes from
`config_source`; whoever writes the files asks `path`.
"""

from __future__ import annotations

from typing import Literal

from envoy.config.core.v3 import config_source_pb2

SourceKind = Literal["listeners", "clusters", "routes", "endpoints", "secrets"]


def path(kind: SourceKind, name: str = "") -> str:
    """The file of a resource, relative to the Envoy's working folder. Listeners and clusters are one file each."""
    if kind in {"listeners", "clusters"}:
        return f"{kind}.json"
    return f"{kind}/{name.replace('|', '_').replace('/', '_')}.json"


def config_source(kind: SourceKind, name: str = "") -> config_source_pb2.ConfigSource:
    """A reference to that file. It is read again when another is renamed over it.

    With "./": Envoy watches no path without a slash ("invalid file path").
    """
    return config_source_pb2.ConfigSource(
        path_config_source=config_source_pb2.PathConfigSource(path=f"./{path(kind, name)}"),
        resource_api_version=config_source_pb2.V3,
    )
