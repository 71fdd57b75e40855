"""A whole Rostrum for tests: `rostrum up --detach` in a home of its own, with real Kafka and the scripted model.

The manifests are k8s/base and istio/ with one thing changed: the services' command is
`tests.support.scripted_service`, so what runs is what runs on a laptop but for the model. Tests talk to it as users do:
the `rostrum` command, and gRPC by the ingress; what is polled goes by gRPC, because a command costs half a second of a
core.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.debate.v1 import debate_pb2, debate_service_pb2, debate_service_pb2_grpc

from mesh.local import tokens
from mesh.local.client import LocalRunner
from mesh.manifests.texts import dump_text, dump_texts, parse_text
from tests.support.model_server import model_url
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from rostrum.local.v1 import runner_pb2

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = ("moderator", "team-a", "team-b")
NEVER_REDUNDANT = 50
"""redundant_rounds of debates whose scripted texts are not to be judged."""
Answer = TypeVar("Answer")

CALL_SECONDS = 20.0
"""Time for a call, a restart of the service included."""
_CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
)


def scripted_manifests(
    target: Path, env: Mapping[str, str], agents: Mapping[str, Mapping[str, str]] | None = None
) -> Path:
    """Copies k8s/base and istio/ to `target` with the services' commands replaced; `env` is added to their containers.

    `agents` are variables of one agent each, by its id; one that k8s/base does not have is team-b under another name.
    """
    base = target / "k8s" / "base"
    shutil.copytree(ROOT / "k8s" / "base", base)
    shutil.copytree(ROOT / "istio", target / "istio")
    agents = agents or {}
    for agent in agents:
        if not (base / f"{agent}.yaml").exists():
            _add_agent(target, agent)
    for path in sorted(base.rglob("*.yaml")):
        documents = [document for document in parse_text(path.read_text("utf-8"), path.name) if document]
        for document in documents:
            name = document["metadata"]["name"] if document.get("kind") == "Deployment" else ""
            if name in SCRIPTED or name in agents:
                container = document["spec"]["template"]["spec"]["containers"][0]
                service = container["command"][-1].rsplit(".", 1)[-1]
                container["command"] = ["python", "-m", "tests.support.scripted_service", service]
                own = {"PYTHONPATH": str(ROOT), **env, **agents.get(name, {})}
                container.setdefault("env", []).extend({"name": k, "value": v} for k, v in own.items())
        path.write_text(dump_texts(documents), "utf-8")
    return target


def _add_agent(target: Path, agent: str) -> None:
    """Adds all that an agent has: pods, topics, rights, and its folder of istio/services, each as team-b's."""
    base, services = target / "k8s" / "base", target / "istio" / "services"
    (base / f"{agent}.yaml").write_text((base / "team-b.yaml").read_text("utf-8").replace("team-b", agent), "utf-8")
    shutil.copytree(services / "team-b", services / agent)
    for path in (services / agent).iterdir():
        path.write_text(path.read_text("utf-8").replace("team-b", agent), "utf-8")
    rights = base / "kafka-users.yaml"
    users = [document for document in parse_text(rights.read_text("utf-8"), rights.name) if document]
    as_text = dump_text(next(user for user in users if user["metadata"]["name"] == "team-b"))
    users += parse_text(as_text.replace("team-b", agent), rights.name)
    moderator = next(user for user in users if user["metadata"]["name"] == "moderator")
    moderator["spec"]["authorization"]["acls"].append(
        {"resource": {"type": "topic", "name": f"rostrum.agent.{agent}.floors.v1"}, "operations": ["Write"]}
    )
    rights.write_text(dump_texts(users), "utf-8")


def _call_patiently(call: Callable[..., Answer], request: object) -> Answer:
    """Makes an idempotent call until a service that restarts is back, CALL_SECONDS at most."""
    errors: list[Any] = []

    def answer() -> Answer | None:
        try:
            return call(request, timeout=CALL_SECONDS, wait_for_ready=True)
        except grpc.RpcError as error:
            errors.append(error)
            if errors[-1].code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return None

    return wait_until(lambda: f"an answer: {errors[-1]}", answer, seconds=CALL_SECONDS)


@contextmanager
def paused(pid: int, *, once: Callable[[], bool]) -> Iterator[None]:
    """Stops a process with SIGSTOP as soon as `once` is true, and lets it go on at the end."""
    wait_until(f"the moment to stop process {pid}", once, seconds=30)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class _Token(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds a token to each call."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=[*(details.metadata or ()), ("authorization", f"Bearer {self._token()}")])

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with_token(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with_token(client_call_details), request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._with_token(client_call_details), request_iterator)


@dataclass
class System:
    """A running Rostrum and the commands to use it."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        scripted: Mapping[str, str] | None = None,
        agents: Mapping[str, Mapping[str, str]] | None = None,
        model: str = "openai:scripted",
    ) -> System:
        """Starts it below `folder`; with `scripted` (variables of scripted_service) no real model runs.

        `agents` as scripted_manifests takes them.
        """
        system = cls.prepare(folder, scripted=scripted, agents=agents)
        up = system.rostrum("up", "--detach", "--model", model, timeout=120)
        assert up.returncode == 0, up.stderr + up.stdout
        return system

    @classmethod
    def prepare(
        cls,
        folder: Path,
        *,
        scripted: Mapping[str, str] | None = None,
        agents: Mapping[str, Mapping[str, str]] | None = None,
    ) -> System:
        """As start, of one that does not run yet."""
        system = cls(folder / "home", {"ROSTRUM_HOME": str(folder / "home")})
        if scripted is not None:
            calls = {"SCRIPTED_CALL_LOG": str(system.call_log), **scripted}
            system.env["ROSTRUM_MANIFESTS"] = str(scripted_manifests(folder / "manifests", calls, agents))
            system.env["OPENAI_BASE_URL"] = model_url()
        return system

    @classmethod
    @contextmanager
    def running(
        cls,
        folder: Path,
        *,
        scripted: Mapping[str, str] | None = None,
        agents: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Iterator[System]:
        """As start; stopped at the end, whatever happened."""
        system = cls.start(folder, scripted={} if scripted is None else scripted, agents=agents)
        try:
            yield system
        finally:
            system.stop()

    @property
    def call_log(self) -> Path:
        """The file that has a line for each call of the scripted model."""
        return self.home.parent / "calls.jsonl"

    # ---- as users do ----

    @property
    def command(self) -> list[str]:
        """The `rostrum` command of this environment."""
        return [str(Path(sys.executable).with_name("rostrum"))]

    @property
    def environ(self) -> dict[str, str]:
        """The variables that the command is run with."""
        return {**os.environ, **self.env}

    def rostrum(
        self, *arguments: str | bytes, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the `rostrum` command as a user would and returns what it printed."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environ, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        """Runs a command with --json and returns what it printed; fails the test if the command fails."""
        result = self.rostrum(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def pod(self, name: str) -> dict[str, Any]:
        """The pod of that name as `rostrum status --json` shows it."""
        pods = cast("list[dict[str, Any]]", self.json("status")["pods"])
        return next(pod for pod in pods if pod["name"] == name)

    def stop(self) -> None:
        """Ends all of it; fails the test if something is left running."""
        pods = self.json("status")["pods"]
        pids = [int(process["pid"]) for pod in pods for process in (pod, pod.get("sidecar") or pod) if process["pid"]]
        down = self.rostrum("down")
        assert down.returncode == 0, down.stderr
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    # ---- by gRPC ----

    @cached_property
    def runner(self) -> LocalRunner:
        """The local runner of this home."""
        return LocalRunner(self.home, self.environ)

    def call(self, answer: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for an answer of the runner."""
        return asyncio.run(answer)  # tests of the whole system are synchronous and use threads: no loop runs in them

    def pods(self) -> dict[str, runner_pb2.Pod]:
        """All pods as they are now, by name."""
        status = self.call(self.runner.status())
        assert status is not None
        return {pod.name: pod for pod in status.pods}

    def channel(self, service: str, role: tokens.Role = "operator") -> grpc.Channel:
        """A channel to a service by the ingress, with a token for each call; the caller closes it."""
        options = [*_CHANNEL_OPTIONS, ("grpc.default_authority", service)]
        channel = grpc.insecure_channel(self.runner.ingress, options)
        return grpc.intercept_channel(channel, _Token(lambda: tokens.issue(self.home, role, tokens.OWN_SECONDS)))

    @contextmanager
    def debates(self) -> Iterator[debate_service_pb2_grpc.DebateServiceStub]:
        """Yields a stub of the moderator."""
        with self.channel("moderator") as channel:
            yield debate_service_pb2_grpc.DebateServiceStub(channel)

    def create(
        self,
        topic: str,
        *,
        rounds: int,
        agents: Sequence[str] = (),
        settings: debate_pb2.DebateSettings | None = None,
    ) -> str:
        """Starts a debate in the background and returns its name; the agents speak for and against by turns."""
        wanted = debate_pb2.Debate(
            topic=topic,
            max_rounds=rounds,
            settings=settings or debate_pb2.DebateSettings(redundant_rounds=NEVER_REDUNDANT),
            seats=[
                debate_pb2.Seat(agent=agent, stance=debate_pb2.FOR if place % 2 == 0 else debate_pb2.AGAINST)
                for place, agent in enumerate(agents)
            ],
        )
        with self.debates() as stub:
            request = debate_service_pb2.CreateDebateRequest(debate=wanted, request_id=uuid.uuid4().hex)
            return _call_patiently(stub.CreateDebate, request).name

    def debate(self, name: str) -> debate_pb2.Debate:
        """The debate as it is now."""
        with self.debates() as stub:
            request = debate_service_pb2.GetDebateRequest(name=name)
            return _call_patiently(stub.GetDebate, request)

    def turns(self, name: str) -> list[debate_pb2.Turn]:
        """The debate's turns."""
        with self.debates() as stub:
            request = debate_service_pb2.ListTurnsRequest(parent=name, page_size=1000)
            return list(_call_patiently(stub.ListTurns, request).turns)

    def events(self, name: str) -> list[debate_pb2.DebateEvent]:
        """The debate's events so far."""
        with self.debates() as stub:
            request = debate_service_pb2.ListEventsRequest(parent=name, page_size=1000)
            return list(_call_patiently(stub.ListEvents, request).events)

    def said(self, agent: str, debate: str) -> list[agent_service_pb2.Utterance]:
        """What the agent has in its own store of this debate, newest first."""
        with self.channel(agent) as channel:
            request = agent_service_pb2.ListUtterancesRequest(parent=f"agents/{agent}", debate=debate)
            stub = agent_service_pb2_grpc.AgentServiceStub(channel)
            return list(_call_patiently(stub.ListUtterances, request).utterances)

    def wait_for_turn(self, name: str, number: int, *, seconds: float = 60) -> None:
        """Returns once the record has the turn of this number."""
        wait_until(f"turn {number}", lambda: self.debate(name).turn_count >= number, seconds=seconds)

    def wait_for_end(self, name: str, *, seconds: float = 90) -> debate_pb2.Debate:
        """Returns the debate once it is ENDED."""
        wait_until("the end", lambda: self.debate(name).state == debate_pb2.Debate.ENDED, seconds=seconds)
        return self.debate(name)

    # ---- what goes wrong ----

    def kill(self, name: str, *, expect_new: bool = True) -> None:
        """Ends one pod with SIGKILL and waits until the runner has started another process for it."""
        before = int(self.pod(name)["pid"])
        os.kill(before, signal.SIGKILL)
        if expect_new:
            wait_until(f"a new process for {name}", lambda: self.pod(name)["pid"] not in {0, before}, seconds=30)

    def scale(self, deployment: str, replicas: int) -> None:
        """Sets the replicas of a Deployment and returns once they are ready or gone."""
        self.call(self.runner.scale(deployment, replicas))

    def pid(self, name: str) -> int:
        """The pid of a pod's process."""
        return int(self.pod(name)["pid"])

    # ---- what it cost ----

    def calls(self) -> Counter[int]:
        """Calls of the scripted model so far by seed, which differs for every debate, turn, purpose and try."""
        lines = self.call_log.read_text("utf-8").splitlines() if self.call_log.exists() else []
        return Counter(int(json.loads(line)["seed"]) for line in lines)
