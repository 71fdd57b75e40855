"""Writes the descriptors of our services into istio/base/transcoder.yaml, where Envoy's transcoder reads them.

`make protos` runs it after the stubs are made; a test compares. Only the one line is written: the rest of the file is
kept by hand. Inline, because a file would have to be at the same path in a cluster's pod and on a laptop.
"""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

from google.protobuf import descriptor, descriptor_pb2
from google.rpc import error_details_pb2
from rostrum.agent.v1 import agent_service_pb2
from rostrum.debate.v1 import debate_service_pb2

FILE = Path(__file__).resolve().parents[1] / "istio" / "base" / "transcoder.yaml"
_LINE = re.compile(r"^( *proto_descriptor_bin: ).*$", re.MULTILINE)


def descriptors() -> descriptor_pb2.FileDescriptorSet:
    """The protos of both services, of their errors' details, and all that these import, each after what it needs.

    A detail of a type that it does not know keeps Envoy from writing the whole error as JSON.
    """
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: descriptor.FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        if file.name not in found:
            found[file.name] = descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)

    add(agent_service_pb2.DESCRIPTOR)
    add(debate_service_pb2.DESCRIPTOR)
    add(error_details_pb2.DESCRIPTOR)
    return descriptor_pb2.FileDescriptorSet(file=found.values())


def written(text: str) -> str:
    """Returns the text of the file with the descriptors of today."""
    encoded = base64.b64encode(descriptors().SerializeToString(deterministic=True)).decode()
    return _LINE.sub(rf'\g<1>"{encoded}"', text)


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text("utf-8")), "utf-8")
    sys.stdout.write(f"make: wrote the descriptors into {FILE.name}\n")
