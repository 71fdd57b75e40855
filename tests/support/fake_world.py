"""A World for the commands: real gRPC to servicers in this process, a runner that only remembers, captured output.

The moderator here holds debates that tests prepare event by event; it can also break its streams, as one that is killed
does.
"""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_status import rpc_status
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc
from rostrum.local.v1 import runner_pb2

from mesh.cli.output import Output
from mesh.cli.program import build, execute
from mesh.cli.world import World
from mesh.errors import BrokerUnavailableError, RostrumError
from mesh.rpc import status
from services.application import APPLICATION
from services.moderator.errors import DebateNotFoundError, EventNotYetError, InvalidTopicError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DebateState = debate_pb2.Debate.State
StopReason = debate_pb2.Debate.StopReason
Stance = debate_pb2.Stance
APP = build(APPLICATION)
Kind = agent_service_pb2.Utterance.Kind


def abort(context: grpc.ServicerContext, error: RostrumError) -> NoReturn:
    """Fails the call as a service of ours does."""
    context.abort_with_status(rpc_status.to_status(status.to_status(error)))
    raise AssertionError("abort raises")


def debate(ident: str = "d1", **fields: Any) -> debate_pb2.Debate:
    """A debate of one round that ended."""
    seats = [
        debate_pb2.Seat(agent="team-a", stance=Stance.FOR),
        debate_pb2.Seat(agent="team-b", stance=Stance.AGAINST),
    ]
    stored = debate_pb2.Debate(
        name=f"debates/{ident}", topic="Cats", seats=seats, max_rounds=1, state=DebateState.ENDED,
        stop_reason=StopReason.MAX_ROUNDS, turn_count=2,
        summary="Both spoke.", verdict="team-a argued better.", create_time=Timestamp(seconds=1000),
        end_time=Timestamp(seconds=1012), etag="e", token_budget=400_000, tokens_spent=900, round=1,
        stop_evidence=debate_pb2.StopEvidence(reason="1 of 1 rounds."),
    )  # fmt: skip
    stored.MergeFrom(debate_pb2.Debate(**fields))
    return stored


def turn(number: int, text: str, **fields: Any) -> debate_pb2.Turn:
    """A turn of round 1."""
    return debate_pb2.Turn(
        name=f"debates/d1/turns/{number}", number=number, round=1, agent="team-a" if number % 2 else "team-b",
        question="Why cats?", text=text, attempt=1, model="scripted", prompt_tokens=40, completion_tokens=9,
        create_time=Timestamp(seconds=1000 + number), elapsed=Duration(seconds=1, nanos=500_000_000), **fields,
    )  # fmt: skip


def history(ended: debate_pb2.Debate, turns: list[debate_pb2.Turn]) -> list[debate_pb2.DebateEvent]:
    """The events of such a debate."""
    kinds: list[dict[str, Any]] = [
        {"debate_created": debate_pb2.DebateCreated(debate=ended)},
        {"round_opened": debate_pb2.RoundOpened(round=1, question="Why cats?")},
    ]
    for taken in turns:
        kinds.append({"floor_granted": debate_pb2.FloorGrantedEvent(turn_number=taken.number, agent=taken.agent)})
        if taken.forfeited:
            kinds.append({"turn_forfeited": debate_pb2.TurnForfeited(turn=taken)})
        else:
            kinds.append({"turn_taken": debate_pb2.TurnTakenEvent(turn=taken)})
    kinds.append(
        {"debate_stopped": debate_pb2.DebateStopped(stop_reason=ended.stop_reason, evidence=ended.stop_evidence)}
    )
    kinds.append({"debate_ended": debate_pb2.DebateEnded(debate=ended)})
    return [
        debate_pb2.DebateEvent(number=number, create_time=Timestamp(seconds=1000 + number), **kind)
        for number, kind in enumerate(kinds, 1)
    ]


class FakeModerator(debate_service_pb2_grpc.DebateServiceServicer):
    """Serves prepared debates.

    `breaks` streams end in UNAVAILABLE after one event each; at the event `interrupts_at` the user presses Ctrl-C, and
    nothing follows until the caller is gone.
    """

    WatchDebateByHttp: Any

    def __init__(self) -> None:
        self.debates = [debate()]
        self.turns = [turn(1, "They purr."), turn(2, "They scratch.")]
        self.events = history(self.debates[0], self.turns)
        self.created: list[debate_service_pb2.CreateDebateRequest] = []
        self.watched_after: list[int] = []
        self.cancelled: list[str] = []
        self.breaks = 0
        self.unavailable = 0
        """Calls of CreateDebate that the broker is away for."""
        self.interrupts_at = 0

    def _find(self, name: str, context: grpc.ServicerContext) -> debate_pb2.Debate:
        for known in self.debates:
            if known.name == name:
                return known
        abort(context, DebateNotFoundError(f"There is no {name}.", debate=name))

    def CreateDebate(self, request: Any, context: grpc.ServicerContext) -> debate_pb2.Debate:
        self.created.append(request)
        if len(self.created) <= self.unavailable:
            abort(context, BrokerUnavailableError("No broker answers."))
        if request.debate.topic == "refuse me":
            abort(context, InvalidTopicError("The topic is refused.", field="debate.topic"))
        return self.debates[0]

    def GetDebate(self, request: Any, context: grpc.ServicerContext) -> debate_pb2.Debate:
        return self._find(request.name, context)

    def ListDebates(self, request: Any, context: grpc.ServicerContext) -> debate_service_pb2.ListDebatesResponse:
        start = int(request.page_token or 0)
        page = self.debates[start : start + min(request.page_size, 2)]
        token = str(start + len(page)) if start + len(page) < len(self.debates) else ""
        return debate_service_pb2.ListDebatesResponse(debates=page, next_page_token=token)

    def ListTurns(self, request: Any, context: grpc.ServicerContext) -> debate_service_pb2.ListTurnsResponse:
        start = int(request.page_token or 0)
        token = str(start + 1) if start + 1 < len(self.turns) else ""
        return debate_service_pb2.ListTurnsResponse(turns=self.turns[start : start + 1], next_page_token=token)

    def WatchDebate(self, request: Any, context: grpc.ServicerContext) -> Iterator[debate_pb2.DebateEvent]:
        self._find(request.name, context)
        self.watched_after.append(request.after_number)
        if not 0 <= request.after_number <= len(self.events):
            newest = len(self.events)
            abort(context, EventNotYetError(f"The newest event is {newest}.", newest=str(newest)))
        for event in self.events[request.after_number :]:
            yield event
            if event.number == self.interrupts_at:
                os.kill(os.getpid(), signal.SIGINT)
                gone = threading.Event()
                context.add_callback(gone.set)
                gone.wait(30)
                return
            if self.breaks:
                self.breaks -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "killed")

    def ListEvents(self, request: Any, context: grpc.ServicerContext) -> debate_service_pb2.ListEventsResponse:
        return debate_service_pb2.ListEventsResponse(events=self.events)

    def CancelDebate(self, request: Any, context: grpc.ServicerContext) -> debate_pb2.Debate:
        found = self._find(request.name, context)
        self.cancelled.append(request.reason)
        found.stop_reason = StopReason.CANCELLED
        return found


class FakeAgent(agent_service_pb2_grpc.AgentServiceServicer):
    """Answers with the question."""

    WatchFloorByHttp: Any

    def GetAgent(self, request: Any, context: grpc.ServicerContext) -> agent_service_pb2.Agent:
        return agent_service_pb2.Agent(name=request.name)

    def Ask(self, request: Any, context: grpc.ServicerContext) -> agent_service_pb2.Utterance:
        return agent_service_pb2.Utterance(
            name=f"{request.name}/utterances/1", kind=Kind.ANSWER, question=request.question,
            text=f"You ask: {request.question}", model="scripted", prompt_tokens=5, completion_tokens=7,
            create_time=Timestamp(seconds=1000),
        )  # fmt: skip

    def WatchFloor(self, request: Any, context: grpc.ServicerContext) -> Iterator[agent_service_pb2.FloorEvent]:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        yield from ()

    def ListUtterances(self, request: Any, context: grpc.ServicerContext) -> agent_service_pb2.ListUtterancesResponse:
        said = agent_service_pb2.Utterance(
            name=f"{request.parent}/utterances/1", kind=Kind.TURN, debate=request.debate or "debates/d1", turn_number=1,
            question="Why cats?", text="They purr.", model="scripted", create_time=Timestamp(seconds=1000),
        )  # fmt: skip
        return agent_service_pb2.ListUtterancesResponse(utterances=[said])


@dataclass
class FakeRunner:
    """Remembers what it was asked."""

    running: bool = True
    model: str = "openai:scripted"
    orders: list[str] = field(default_factory=list)
    agent_models: Sequence[str] = ()
    """That manifests name."""
    fault: Exception | None = None
    starter: int = 0
    """A command that was killed."""
    polls_until_settled: int = 0
    """Looks for which another command's start is still under way."""
    key_sets: Sequence[runner_pb2.KeySet] = ()
    log_folder: Path = Path()
    replicas: dict[str, int] = field(default_factory=lambda: {"moderator": 1, "team-a": 1, "team-b": 1})

    async def status(self) -> runner_pb2.Status | None:
        self.polls_until_settled -= 1
        return self._status() if self.running and self.polls_until_settled <= 0 else None

    def demand_folders(self) -> None: ...

    def named_models(self) -> Sequence[str]:
        return self.agent_models

    async def start(self, model: str, report: Callable[[str], None]) -> runner_pb2.Status:
        self.orders.append(f"start {model}")
        if self.fault is not None:
            raise self.fault
        report("waiting for the broker")
        self.running, self.model = True, model
        return self._status()

    async def scale(self, deployment: str, replicas: int) -> runner_pb2.Status:
        self.orders.append(f"scale {deployment} {replicas}")
        self.replicas[deployment] = replicas
        return self._status()

    async def change_resources(self, request: runner_pb2.ChangeResourcesRequest) -> runner_pb2.ChangeResourcesResponse:
        self.orders.append(f"change {[file.name for file in request.files]} {request.delete} {request.dry_run}")
        if self.fault is not None:
            raise self.fault
        action = runner_pb2.ResourceChange.DELETED if request.delete else runner_pb2.ResourceChange.CONFIGURED
        resource = runner_pb2.Resource(kind="VirtualService", namespace="rostrum", name="team-a")
        change = runner_pb2.ResourceChange(resource=resource, action=action, before="a\nb\n", after="a\nc\n")
        return runner_pb2.ChangeResourcesResponse(changes=[change], in_force_milliseconds=40)

    async def resources(self, kind: str) -> runner_pb2.ListResourcesResponse:
        self.orders.append(f"resources {kind}")
        found = runner_pb2.Resource(
            kind="VirtualService", namespace="rostrum", name="team-a", source="applied", yaml="a\n"
        )
        return runner_pb2.ListResourcesResponse(resources=[] if kind == "Gateway" else [found])

    async def mesh(self) -> runner_pb2.Mesh:
        return runner_pb2.Mesh(namespace="rostrum")

    def leave_running(self) -> None:
        self.starter = 0

    @property
    def killed_starter(self) -> int:
        return self.starter

    @property
    def is_held(self) -> bool:
        return self.running or self.polls_until_settled > 0

    async def stop(self) -> bool:
        self.orders.append("stop")
        ran, self.running = self.running, False
        return ran

    def _status(self) -> runner_pb2.Status:
        pods = [
            runner_pb2.Pod(
                component=name if name == "moderator" else "agent",
                name=f"{name}-{replica}", deployment=name, replica=replica, pid=100 + replica, ready=True,
                addresses=["127.0.0.1:50051"], log_file=str(self.log_folder / f"{name}-{replica}.log"),
                sidecar=runner_pb2.Sidecar(
                    pid=200 + replica, ready=True, folder=str(self.log_folder / "pods" / f"{name}-{replica}"),
                    log_file=str(self.log_folder / f"{name}-{replica}.envoy.log"),
                ),
            )
            for name, replicas in self.replicas.items()
            for replica in range(replicas)
        ]  # fmt: skip
        return runner_pb2.Status(
            pods=pods, home="/home/r", pid=99, model=self.model, ready=True, ingress="127.0.0.1:8080",
            key_sets=self.key_sets,
        )  # fmt: skip


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Bench:
    """The fakes, and a way to run commands against them."""

    moderator: FakeModerator
    runner: FakeRunner
    address: str
    environ: dict[str, str] = field(default_factory=dict)
    home: Path = Path("/home/r")

    def rostrum(self, *arguments: str) -> Result:
        """Runs one command."""
        out, err = io.StringIO(), io.StringIO()
        world = World(
            environ=self.environ, home=self.home, program="rostrum",
            first_command=APPLICATION.first_command, output=Output(out, err), runner=self.runner,
            dial=lambda _service: grpc.aio.insecure_channel(self.address),
        )  # fmt: skip
        return Result(int(execute(APP, arguments, world)), out.getvalue(), err.getvalue())


@contextmanager
def serving() -> Iterator[Bench]:
    """Serves the fakes on a port of loopback."""
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        moderator = FakeModerator()
        debate_service_pb2_grpc.add_DebateServiceServicer_to_server(moderator, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(FakeAgent(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield Bench(moderator, FakeRunner(), f"127.0.0.1:{port}")
        finally:
            server.stop(None).wait()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """The command among these fakes; a folder whose tests use it imports it in its conftest.py."""
    with serving() as served:
        yield served
