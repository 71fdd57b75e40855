"""grpc.reflection in v1 and v1alpha: what grpcurl, Postman and their like ask a server for its contracts.

grpcio-reflection has v1alpha alone. v1 is the same messages under another package, the same bytes on the wire, so the
library's servicer answers both; v1's descriptor is made of v1alpha's, for who asks what v1 itself is. Called by
`mesh.rpc.server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

V1 = "grpc.reflection.v1.ServerReflection"
SERVICE_NAMES = (V1, reflection.SERVICE_NAME)


def _declare_v1() -> None:
    """Adds v1's file to the pool of all descriptors. Idempotent."""
    file = descriptor_pb2.FileDescriptorProto(name="grpc/reflection/v1/reflection.proto", package="grpc.reflection.v1")
    known = descriptor_pb2.FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    file.syntax = known.syntax
    file.message_type.extend(known.message_type)
    file.service.extend(known.service)
    for message in file.message_type:
        for field in (field for field in message.field if field.type_name):
            field.type_name = _rename(field.type_name)
    for method in file.service[0].method:
        method.input_type, method.output_type = _rename(method.input_type), _rename(method.output_type)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


def _rename(type_name: str) -> str:
    return type_name.replace(".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")


_declare_v1()


def add_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Serves both versions, which describe these services and themselves."""
    servicer = reflection.aio.ReflectionServicer((*services, *SERVICE_NAMES))
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, methods) for name in SERVICE_NAMES])
