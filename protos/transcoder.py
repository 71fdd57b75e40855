"""Writes what the ingress knows of our services into istio/base: descriptors for Envoy's transcoder, and for the check
of requests by REST the paths, bodies and fields.

`make protos` runs it after the stubs are made; a test compares. One line is written in each file: the rest is kept by
hand. Inline, because a file would have to be at the same path in a cluster's pod and on a laptop.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pb2
from google.rpc import error_details_pb2
from rostrum.agent.v1 import agent_service_pb2
from rostrum.debate.v1 import debate_service_pb2

FOLDER = Path(__file__).resolve().parents[1] / "istio" / "base"
TRANSCODER = FOLDER / "transcoder.yaml"
REQUESTS = FOLDER / "requests.yaml"
SERVICES = [
    agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"],
    debate_service_pb2.DESCRIPTOR.services_by_name["DebateService"],
]
_DESCRIPTORS = re.compile(r"^( *proto_descriptor_bin: ).*$", re.MULTILINE)
_CONTRACT = re.compile(r"^( *local CONTRACT = ).*$", re.MULTILINE)
_FIELD = descriptor.FieldDescriptor
_NUMBERS = {
    _FIELD.CPPTYPE_INT32: "int32",
    _FIELD.CPPTYPE_INT64: "int64",
    _FIELD.CPPTYPE_UINT32: "uint32",
    _FIELD.CPPTYPE_UINT64: "uint64",
    _FIELD.CPPTYPE_DOUBLE: "double",
    _FIELD.CPPTYPE_FLOAT: "float",
    _FIELD.CPPTYPE_BOOL: "bool",
}
_AS_TEXT = {"google.protobuf.Duration", "google.protobuf.Timestamp"}
"""Messages that JSON has as a text."""


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

    for service in SERVICES:
        add(service.file)
    add(error_details_pb2.DESCRIPTOR)
    return descriptor_pb2.FileDescriptorSet(file=found.values())


def contract() -> dict[str, object]:
    """Bindings (method, pattern of the path, message of the body, where that is in the request); messages; enums."""
    bindings: list[list[str]] = []
    messages: dict[str, dict[str, list[object]]] = {}
    enums: dict[str, dict[str, bool]] = {}

    def add(message: descriptor.Descriptor) -> None:
        if message.full_name in messages:
            return
        fields = messages[message.full_name] = {}
        for field in message.fields:
            kind = _kind(field)
            fields[field.name] = fields[field.json_name] = [field.name, kind, *([True] if field.is_repeated else [])]
            if field.enum_type is not None:
                enums[kind] = {value.name: True for value in field.enum_type.values}
            elif field.message_type is not None and kind != "string":
                add(field.message_type)

    for method in (method for service in SERVICES for method in service.methods):
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        if verb is None:
            continue
        binding = [verb.upper(), _pattern(getattr(rule, verb))]
        if rule.body:
            where = "" if rule.body == "*" else rule.body
            body = method.input_type if rule.body == "*" else method.input_type.fields_by_name[rule.body].message_type
            add(body)
            binding += [body.full_name, where]
        bindings.append(binding)
    return {"bindings": bindings, "messages": messages, "enums": enums}


def _kind(field: descriptor.FieldDescriptor) -> str:
    if field.enum_type is not None:
        return field.enum_type.full_name
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            raise NotImplementedError(f"{field.full_name}: the check of requests knows no map yet")
        return "string" if field.message_type.full_name in _AS_TEXT else field.message_type.full_name
    return _NUMBERS.get(field.cpp_type, "string")


def _pattern(path: str) -> str:
    """Lua's pattern for a path of google.api.http, of which each * is one part without a verb."""
    bare = re.sub(r"\{[^=}]+=([^}]+)\}", r"\1", path)
    parts = ("[^/:]+" if part == "*" else re.sub(r"\W", r"%\g<0>", part) for part in re.split(r"(\*)", bare))
    return f"^{''.join(parts)}$"


def _lua(value: object) -> Iterator[str]:
    """A value in Lua's syntax."""
    if isinstance(value, dict):
        yield "{"
        for key, inner in value.items():
            yield f"[{json.dumps(key)}]="
            yield from _lua(inner)
            yield ","
        yield "}"
    elif isinstance(value, list):
        yield "{"
        for inner in value:
            yield from _lua(inner)
            yield ","
        yield "}"
    else:
        yield json.dumps(value)


def written() -> dict[Path, str]:
    """Returns the text of each file with the contracts of today."""
    encoded = base64.b64encode(descriptors().SerializeToString(deterministic=True)).decode()
    script = "".join(_lua(contract()))
    return {
        TRANSCODER: _DESCRIPTORS.sub(lambda line: f'{line[1]}"{encoded}"', TRANSCODER.read_text("utf-8")),
        REQUESTS: _CONTRACT.sub(lambda line: f"{line[1]}{script}", REQUESTS.read_text("utf-8")),
    }


if __name__ == "__main__":
    for file, text in written().items():
        file.write_text(text, "utf-8")
        sys.stdout.write(f"make: wrote the contracts into {file.name}\n")
