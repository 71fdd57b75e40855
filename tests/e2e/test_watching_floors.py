"""A turn is seen while it is written: by gRPC, by REST as server-sent events, and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import threading
import urllib.error
import urllib.request
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc
from rostrum.debate.v1 import debate_service_pb2

from mesh.local import tokens
from tests.support.screen import Screen
from tests.support.system import System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(180)

SECONDS = 60.0
COLUMNS, LINES = 100, 40
FloorEvent = agent_service_pb2.FloorEvent


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Agents that write a few words at a time: a turn takes a second or two. `pair` is to have two replicas."""
    scripted = {"SCRIPTED_PAUSE_SECONDS": "0.2"}
    with System.running(tmp_path_factory.mktemp("watch"), scripted=scripted, agents={"pair": {}}) as running:
        yield running


def watch(system: System, agent: str, debate: str, turn_number: int) -> list[Any]:
    """All events of a floor, as whoever may only read gets them."""
    with system.channel(agent, role="viewer") as channel:
        request = agent_service_pb2.WatchFloorRequest(name=f"agents/{agent}", debate=debate, turn_number=turn_number)
        return list(agent_service_pb2_grpc.AgentServiceStub(channel).WatchFloor(request, timeout=SECONDS))


def assert_grows(texts: list[str], said: str) -> None:
    """Each text is the beginning of the next one, and the last is that of the turn, or its beginning."""
    assert len(texts) >= 3, texts
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts)), texts
    assert said.startswith(texts[-1].rstrip())


def test_by_grpc(system: System) -> None:
    """Started, a text that grows, committed with the turn that the moderator then has; the stream ends."""
    name = system.create("Watched by gRPC", rounds=1)
    events = watch(system, "team-a", name, 1)
    system.wait_for_turn(name, 1)
    said = system.turns(name)[0].text
    started, *rest, committed = events
    assert (started.started.turn_number, started.started.attempt, started.started.try_number) == (1, 1, 1)
    assert committed.committed == FloorEvent.Committed(turn_number=1, text=said)
    texts: list[str] = []
    for event in rest:
        assert event.HasField("written")
        texts.append(event.written.text if event.written.whole else texts[-1] + event.written.text)
    assert_grows(texts, said)
    system.wait_for_end(name)


def test_as_server_sent_events(system: System) -> None:
    """The same by REST through the ingress, each event when it happens."""
    name = system.create("Watched by REST", rounds=1)
    url = f"http://{system.runner.ingress}/v1/agents/team-b:watchFloor?debate={name}&turn_number=2"
    token = tokens.issue(system.home, "viewer", tokens.OWN_SECONDS)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    texts: list[str] = []
    kinds: list[str] = []
    with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - an http URL of our own
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response:
            if line.startswith(b"data: "):
                event = json.loads(line.removeprefix(b"data: "))
                kinds += event.keys()
                if written := event.get("written"):
                    assert system.debate(name).turn_count < 2, "the text came with the turn and not before it"
                    texts.append(written["text"] if written["whole"] else texts[-1] + written["text"])
    system.wait_for_end(name)
    assert (kinds[0], kinds[-1]) == ("started", "committed")
    assert_grows(texts, system.turns(name)[1].text)


def test_nobody_watches_without_a_token(system: System) -> None:
    """REST and gRPC refuse who brings none, as for every other call."""
    url = f"http://{system.runner.ingress}/v1/agents/team-a:watchFloor?debate=debates/x"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=SECONDS)
    assert refused.value.code in {401, 403}
    refused.value.close()
    with grpc.insecure_channel(system.runner.ingress, [("grpc.default_authority", "team-a")]) as channel:
        request = agent_service_pb2.WatchFloorRequest(name="agents/team-a", debate="debates/x")
        with pytest.raises(grpc.RpcError) as failed:
            list(agent_service_pb2_grpc.AgentServiceStub(channel).WatchFloor(request, timeout=SECONDS))
    code: Any = failed.value
    assert code.code() in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


def test_a_floor_that_is_lost_is_withdrawn(system: System) -> None:
    """When the debate is cancelled in the middle of a turn, whoever watches learns that it is none."""
    name = system.create("Cancelled in a turn", rounds=1)
    with system.channel("team-a") as channel:
        request = agent_service_pb2.WatchFloorRequest(name="agents/team-a", debate=name, turn_number=1)
        stream = agent_service_pb2_grpc.AgentServiceStub(channel).WatchFloor(request, timeout=SECONDS)
        while not next(stream).HasField("written"):
            pass
        with system.debates() as stub:
            stub.CancelDebate(debate_service_pb2.CancelDebateRequest(name=name), timeout=SECONDS)
        *_, last = stream
    assert last.withdrawn == FloorEvent.Withdrawn(turn_number=1, reason=FloorEvent.Withdrawn.REVOKED)


def test_whichever_replica_answers(system: System) -> None:
    """Of two replicas one writes: a watcher of either gets the committed turn at the end.

    While the second one joins, a floor may move from the first to it; who watches is then told that it was interrupted,
    and watches again.
    """
    system.scale("pair", 2)
    name = system.create("Watched at two replicas", rounds=1, agents=("pair", "team-b"))
    found: list[list[Any]] = [[] for _ in range(4)]

    def collect(place: int) -> None:
        found[place] = watch(system, "pair", name, 1)
        while found[place][-1].withdrawn.reason == FloorEvent.Withdrawn.INTERRUPTED:
            found[place] += watch(system, "pair", name, 1)

    threads = [threading.Thread(target=collect, args=(place,)) for place in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    system.wait_for_end(name)
    said = system.turns(name)[0].text
    assert [events[-1].committed.text for events in found] == [said] * len(found)
    assert any(event.HasField("written") for events in found for event in events)


class _Terminal:
    """A command on a pseudo-terminal, read as it writes."""

    def __init__(self, system: System, *arguments: str) -> None:
        self._screen = Screen(COLUMNS, LINES)
        self._lock = threading.Lock()
        self._written = b""
        self._seen = 0
        main, end = pty.openpty()
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
        self._process = subprocess.Popen(
            [*system.command, *arguments], env={**system.environ, **size}, stdin=end, stdout=end, stderr=end
        )
        os.close(end)
        self._main = main
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._main, 65536)
            except OSError:  # Linux: the other end is closed
                part = b""
            if not part:
                return
            with self._lock:
                self._written += part

    def look(self) -> str:
        """What is on the screen now."""
        with self._lock:
            text = self._written.decode(errors="ignore")
        self._screen.feed(text[self._seen : text.rfind("\n") + 1 or None])
        self._seen = max(self._seen, text.rfind("\n") + 1)
        return self._screen.text

    def end(self) -> str:
        """What is left on the screen when the command has ended with exit code 0."""
        assert self._process.wait(SECONDS) == 0
        self._reader.join()
        os.close(self._main)
        screen = Screen(COLUMNS, LINES).feed(self._written.decode())
        assert screen.wraps
        assert screen.shows_cursor
        return screen.text


def test_on_a_terminal(system: System) -> None:
    """The turn grows on the screen before the debate has it; at the end each turn stands there once, whole."""
    terminal = _Terminal(system, "debate", "Watched on a terminal", "--rounds", "1")
    frames: list[str] = []

    def is_over() -> bool:
        frames.append(terminal.look())
        return "Ended: " in frames[-1]

    wait_until(lambda: f"the end of the debate, not {frames[-1]}", is_over, seconds=SECONDS)
    shown = terminal.end()
    debate = system.json("list", "--limit", "1")["debates"][0]["name"]
    for turn in system.turns(debate):
        words = turn.text.split()
        assert " ".join(shown.split()).count(" ".join(words)) == 1
        heading = f"{turn.agent} ("
        begun = [frame for frame in frames if words[0] in frame and words[-1] not in frame]
        assert begun, f"turn {turn.number} was never seen half-written"
        assert all(f"turn {turn.number}," not in frame for frame in begun)
        assert heading in shown


def test_not_half_written_elsewhere(system: System) -> None:
    """Into a pipe turns come whole, and --json has the events of the debate and nothing else."""
    piped = system.rostrum("debate", "Piped", "--rounds", "1")
    assert piped.returncode == 0, piped.stderr
    name = system.json("list", "--limit", "1")["debates"][0]["name"]
    for turn in system.turns(name):
        assert piped.stdout.count(turn.text.split()[0]) == turn.text.split().count(turn.text.split()[0])
    assert "\x1b" not in piped.stdout + piped.stderr
    lines = [json.loads(line) for line in system.rostrum("watch", name, "--json").stdout.splitlines()]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
