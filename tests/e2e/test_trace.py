"""One trace a debate, across processes and the broker, as an OTLP collector sees it."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from tests.support.system import System

if TYPE_CHECKING:
    from pathlib import Path


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the names of spans by trace and service."""

    def __init__(self) -> None:
        self.spans: dict[str, set[tuple[str, str]]] = defaultdict(set)

    def Export(  # noqa: N802 - OTLP's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, _context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for group in request.resource_spans:
            names = {attribute.key: attribute.value.string_value for attribute in group.resource.attributes}
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans[span.trace_id.hex()].add((names["service.name"], span.name))
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.mark.timeout(120)
def test_a_debate_is_one_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace that CreateDebate began holds the Kafka hops of moderator and both agents, and every model call."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    system = System.start(tmp_path, scripted={})
    try:
        with system.channel("moderator") as channel:
            stub = debate_service_pb2_grpc.DebateServiceStub(channel)
            request = debate_service_pb2.CreateDebateRequest(debate=debate_pb2.Debate(topic="Traces", max_rounds=2))
            name = stub.CreateDebate(request, timeout=10).name
            for _ in stub.WatchDebate(debate_service_pb2.WatchDebateRequest(name=name), timeout=60):
                pass
    finally:
        system.stop()  # the services export what they have when they end
        server.stop(1).wait()
    created = [spans for spans in collector.spans.values() if any("CreateDebate" in name for _, name in spans)]
    assert len(created) == 1
    (spans,) = created
    assert {("team-a", "chat scripted"), ("team-b", "chat scripted"), ("moderator", "chat scripted")} <= spans
    assert ("team-a", "process rostrum.agent.team-a.floors.v1") in spans
    assert ("team-b", "process rostrum.agent.team-b.floors.v1") in spans
    assert ("moderator", "process rostrum.debate.turns.v1") in spans
    others = [spans for spans in collector.spans.values() if spans is not created[0]]
    assert not any(name.startswith(("process", "chat")) for spans in others for _, name in spans)
