"""Every command of `rostrum` against one running system: what it prints for people and for scripts, and bad input."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from rostrum.debate.v1 import debate_pb2

from tests.support.system import System
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

OK, FAILURE, USAGE, NOT_RUNNING, NOT_FOUND, UNAVAILABLE, NO_RESULT = range(7)
TOPIC = "Commands are tried"


@pytest.fixture(scope="module")
def ended(system: System) -> debate_pb2.Debate:
    """A debate of two rounds that has ended."""
    return system.wait_for_end(system.create(TOPIC, rounds=2))


def ident(debate: debate_pb2.Debate | str) -> str:
    name = debate if isinstance(debate, str) else debate.name
    return name.removeprefix("debates/")


def assert_one_line(result: subprocess.CompletedProcess[str], exit_code: int, words: str) -> None:
    """A failure is its exit code and one readable line, after at most a line of progress; nothing on stdout."""
    assert result.returncode == exit_code, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) <= 2, result.stderr
    assert [line.startswith("rostrum: ") for line in lines] == [False] * (len(lines) - 1) + [True], result.stderr
    assert words in lines[-1]
    assert len(lines[-1]) < 300
    assert result.stdout == ""


def test_status(system: System) -> None:
    """Every pod with name, replica, pid, addresses, ready and restarts; the table names each of them."""
    status = system.json("status")
    assert status["home"] == str(system.home)
    assert status["model"] == "openai:scripted"
    pods: dict[str, dict[str, Any]] = {pod["name"]: pod for pod in status["pods"]}
    assert {"kafka-0", "moderator-0", "team-a-0", "team-b-0", "embeddings-0", "ingress-0"} <= set(pods)
    assert "model-0" not in pods
    for name, pod in pods.items():
        assert name == f"{pod['deployment']}-{pod['replica']}"
        assert pod["ready"] is True
        assert pod["restarts"] == 0
        assert pod["pid"] > 0
        assert (pod.get("sidecar") or {}).get("ready", False) is (name != "kafka-0")
        assert all(address.startswith("127.") for address in pod["addresses"])
    table = system.rostrum("status")
    assert table.returncode == OK
    assert all(name in table.stdout for name in pods)


def test_a_second_up_in_the_same_home_changes_nothing(system: System) -> None:
    """`up --detach` where it runs already says so and exits with 0; every process is the one that ran before."""
    before = {pod["name"]: pod["pid"] for pod in system.json("status")["pods"]}
    again = system.rostrum("up", "--detach")
    assert again.returncode == OK
    assert "it ran already" in again.stderr
    assert {pod["name"]: pod["pid"] for pod in system.json("status")["pods"]} == before


def test_a_debate_where_it_runs_already(system: System) -> None:
    """`debate` uses what runs and leaves it running; piped, its output is plain and in order."""
    held = system.rostrum("debate", "Held by the command", "--rounds", "1")
    assert held.returncode == OK, held.stderr
    places = [
        held.stdout.index(words) for words in ("Round 1: ", "turn 1", "turn 2", "Stopped: ", "Verdict", "Ended: ")
    ]
    assert places == sorted(places)
    assert "\x1b" not in held.stdout
    assert system.rostrum("status").returncode == OK


def test_list(system: System, ended: debate_pb2.Debate) -> None:
    """Debates, newest first; --limit pages."""
    listed = system.json("list", "--limit", "1000")["debates"]
    assert ended.name in [debate["name"] for debate in listed]
    times = [debate["create_time"] for debate in listed]
    assert times == sorted(times, reverse=True)
    assert len(system.json("list", "--limit", "1")["debates"]) == 1
    table = system.rostrum("list", "--limit", "1000")
    assert any(ident(ended) in line and TOPIC in line for line in table.stdout.splitlines())


def test_show(system: System, ended: debate_pb2.Debate) -> None:
    """The debate with its turns, under the proto's field names; ID may be written with or without "debates/"."""
    shown = system.json("show", ident(ended))
    assert (shown["state"], shown["stop_reason"], shown["turn_count"]) == ("ENDED", "MAX_ROUNDS", 4)
    assert [turn["number"] for turn in shown["turns"]] == [1, 2, 3, 4]
    assert shown["turns"][3]["name"] == f"{ended.name}/turns/4"
    assert {turn["agent"] for turn in shown["turns"]} == {"team-a", "team-b"}
    assert all(turn["question"] and turn["text"] and turn["create_time"] for turn in shown["turns"])
    assert system.json("show", ended.name) == shown
    assert (shown["language"], len(shown["agenda"])) == ("en", 2)
    assert shown["judgement"]["winner"] == "team-a"
    assert {score["agent"] for score in shown["judgement"]["scores"]} == {"team-a", "team-b"}
    assert shown["judgement"]["rationale"] == shown["verdict"]
    printed = system.rostrum("show", ident(ended))
    assert printed.returncode == OK
    assert all(turn["text"] in printed.stdout for turn in shown["turns"])
    assert "Verdict: team-a (for)" in printed.stdout
    assert all(question in printed.stdout for question in shown["agenda"])


def test_watch(system: System, ended: debate_pb2.Debate) -> None:
    """One event a line, from 1 without a gap to debate_ended; --after leaves out what one has."""
    watched = system.rostrum("watch", ident(ended), "--json")
    assert watched.returncode == OK
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert "debate_created" in events[0]
    assert "debate_ended" in events[-1]
    rest = system.rostrum("watch", ident(ended), "--after", str(len(events) - 2), "--json")
    assert [json.loads(line) for line in rest.stdout.splitlines()] == events[-2:]


def test_cancel(system: System) -> None:
    """`cancel` ends a running debate at once, and whoever watches it is notified; cancelling again changes nothing."""
    name = system.create("Soon to be cancelled", rounds=2, agents=("sleepy", "team-a"))
    cancelled = system.json("cancel", ident(name), "--reason", "seen enough")
    assert (cancelled["state"], cancelled["stop_reason"]) == ("ENDED", "CANCELLED")
    assert "seen enough" in cancelled["stop_evidence"]["reason"]
    assert not cancelled["verdict"]
    watched = system.rostrum("watch", ident(name))
    assert watched.returncode == OK
    assert "it was cancelled" in watched.stdout
    again = system.rostrum("cancel", ident(name))
    assert again.returncode == OK
    assert "it was cancelled" in again.stdout
    assert system.json("show", name)["etag"] == cancelled["etag"]


def test_ask_and_history(system: System, ended: debate_pb2.Debate) -> None:
    """An answer is printed and kept in the agent's own store, beside what it said in debates, newest first."""
    asked = system.json("ask", "team-a", "What of the ports?")
    assert asked["kind"] == "ANSWER"
    assert asked["text"]
    history = system.json("history", "team-a")["utterances"]
    assert history[0]["text"] == asked["text"]
    turns = system.json("history", "team-a", "--debate", ident(ended))["utterances"]
    assert [turn["turn_number"] for turn in turns] == [3, 1]
    printed = system.rostrum("history", "team-a", "--limit", "1")
    assert asked["text"] in printed.stdout
    assert system.rostrum("ask", "team-a", "What of the grids?").returncode == OK


def test_scale(system: System) -> None:
    """team-a=2 runs two pods that share the debates, and back to one; debates end as usual all the while."""
    scaled = system.json("scale", "team-a=2")
    team = [pod for pod in scaled["pods"] if pod["deployment"] == "team-a"]
    assert [(pod["name"], pod["ready"]) for pod in team] == [("team-a-0", True), ("team-a-1", True)]
    assert len({pod["addresses"][0] for pod in team}) == 2
    names = [system.create(f"Scaled up {number}", rounds=3) for number in range(6)]
    back = system.json("scale", "team-a=1")
    assert [pod["name"] for pod in back["pods"] if pod["deployment"] == "team-a"] == ["team-a-0"]
    for name in names:
        assert system.wait_for_end(name).stop_reason == debate_pb2.Debate.MAX_ROUNDS
        turns = system.turns(name)
        assert [(turn.number, turn.forfeited) for turn in turns] == [(number, False) for number in range(1, 7)]


def test_logs(system: System) -> None:
    """The lines of one pod, of a Deployment and of all, each with its pod's name when there are several; -f goes on."""
    one = system.rostrum("logs", "moderator-0", "--tail", "5")
    assert one.returncode == OK
    assert len(one.stdout.splitlines()) <= 5
    assert all(json.loads(line)["pod"] == "moderator-0" for line in one.stdout.splitlines())
    everything = system.rostrum("logs", "--tail", "2")
    assert {"kafka-0", "moderator-0"} <= {line.partition(" | ")[0] for line in everything.stdout.splitlines()}


def test_two_homes_do_not_collide(system: System, tmp_path: Path) -> None:
    """A second `up` in another home runs beside the first, with other addresses and its own debates; its `down` leaves
    nothing of it and all of the first."""
    before = {pod["name"]: pod["pid"] for pod in system.json("status")["pods"]}
    with System.running(tmp_path) as other:
        addresses = [
            {address for pod in running.json("status")["pods"] for address in pod["addresses"]}
            for running in (system, other)
        ]
        assert not addresses[0] & addresses[1]
        name = other.create("In the other home", rounds=1)
        assert other.wait_for_end(name).stop_reason == debate_pb2.Debate.MAX_ROUNDS
        assert_one_line(system.rostrum("show", name), NOT_FOUND, "rostrum list")
    assert_one_line(other.rostrum("status"), NOT_RUNNING, "does not run in")
    assert other.rostrum("logs", "moderator", "--tail", "1").returncode == OK
    assert other.rostrum("down").returncode == OK
    assert {pod["name"]: pod["pid"] for pod in system.json("status")["pods"]} == before


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("nonsense",), USAGE, "nonsense"),
        (("status", "--nonsense"), USAGE, "--nonsense"),
        (("up", "--detach", "--model", "ollama:other"), FAILURE, "runs with openai:scripted"),
        (("debate",), USAGE, "Missing argument 'topic'"),
        (("debate", "  "), USAGE, "3 to 500 characters"),
        (("debate", "x" * 501), USAGE, "3 to 500 characters"),
        (("debate", "two\nlines"), USAGE, "control characters"),
        (("debate", "an\x1b[31mescape"), USAGE, "control characters"),
        (("debate", b"not \xff\xfe UTF-8"), USAGE, "UTF-8"),
        (("debate", TOPIC, "--rounds", "0"), USAGE, "1 to 50"),
        (("debate", TOPIC, "--rounds", "51"), USAGE, "1 to 50"),
        (("debate", TOPIC, "--rounds", "many"), USAGE, "'--rounds'"),
        (("debate", TOPIC, "--agents", "team-a=maybe"), USAGE, "team-a=maybe"),
        (("debate", TOPIC, "--agents", "team-a=for"), USAGE, "2 to 8 seats"),
        (("debate", TOPIC, "--agents", "team-a=for,team-a=against"), USAGE, "has a seat already"),
        (("debate", TOPIC, "--agents", "team-a=for,nobody=against"), NOT_FOUND, "nobody"),
        (("debate", TOPIC, "--budget", "12"), USAGE, "token_budget"),
        (("debate", TOPIC, "--budget", "-1"), USAGE, "token_budget"),
        (("list", "--limit", "0"), USAGE, "--limit"),
        (("show", ""), USAGE, "no debate's id"),
        (("show", "a/b"), USAGE, "no debate's id"),
        (("show", "NOT-AN-ID"), USAGE, "debates/"),
        (("show", "0000000000000000"), NOT_FOUND, "rostrum list"),
        (("watch", "0000000000000000"), NOT_FOUND, "rostrum list"),
        (("watch", "{ended}", "--after", "999"), USAGE, "no event 999 yet"),
        (("watch", "{ended}", "--after", "-1"), USAGE, "negative"),
        (("cancel", "0000000000000000"), NOT_FOUND, "rostrum list"),
        (("cancel", "{ended}", "--reason", "x" * 501), USAGE, "500 characters"),
        (("ask", "nobody", "Who?"), NOT_FOUND, "nobody"),
        (("ask", "team-a", ""), USAGE, "question"),
        (("ask", "team-a", "x" * 2001), USAGE, "2000 characters"),
        (("ask", "broken", "Are you well?"), UNAVAILABLE, "scripted not to answer"),
        (("history", "nobody"), NOT_FOUND, "nobody"),
        (("history", "team-a", "--debate", "a b"), USAGE, "no debate's id"),
        (("scale", "team-a"), USAGE, "AGENT=N"),
        (("scale", "team-a=17"), USAGE, "0 to 16"),
        (("scale", "team-a=-1"), USAGE, "0 to 16"),
        (("scale", "nobody=1"), NOT_FOUND, "nobody"),
        (("logs", "nobody"), NOT_FOUND, "nobody"),
        (("logs", "--tail", "-1"), USAGE, "--tail"),
        (("apply",), USAGE, "'-f'"),
        (("apply", "-f", "nowhere.yaml"), USAGE, "name a YAML file"),
        (("apply", "-f", "k8s/base/moderator.yaml"), USAGE, "neither of Istio's kinds nor a Deployment"),
        (("diff", "-f", "README.md"), USAGE, "cannot be read as YAML"),
        (("delete", "-f", "istio/scenarios/deny"), USAGE, "is not active"),
        (("get", "Nonsense"), USAGE, "there are PeerAuthentication, "),
        (("config", "nobody-0"), NOT_FOUND, "there are: "),
        (("config", "team-a-0", "--kind", "all"), USAGE, "listeners, clusters"),
        (("token", "--role", "king"), USAGE, "viewer, operator"),
        (("token", "--ttl", "31d"), USAGE, "at most 30d"),
        (("down", "please"), USAGE, "please"),
    ],
    ids=lambda value: " ".join(map(repr, value))[:60] if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_line(
    system: System, ended: debate_pb2.Debate, arguments: tuple[str | bytes, ...], exit_code: int, words: str
) -> None:
    """Whatever a user gets wrong: the documented exit code, one line that says what, and no traceback."""
    filled = [ident(ended) if argument == "{ended}" else argument for argument in arguments]
    assert_one_line(system.rostrum(*filled), exit_code, words)


def test_a_debate_cancelled_elsewhere_is_no_success(system: System) -> None:
    """`debate` whose debate somebody else cancels exits with 6 and says so."""
    command = [*system.command, "debate", "Cancelled elsewhere", "--agents", "sleepy=for,team-a=against"]
    with subprocess.Popen(
        command, env=system.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as held:

        def running() -> list[str]:
            listed = system.json("list")["debates"]
            return [debate["name"] for debate in listed if debate["topic"] == "Cancelled elsewhere"]

        wait_until("the debate", lambda: bool(running()), seconds=30)
        assert system.rostrum("cancel", *running()).returncode == OK
        _, errors = held.communicate(timeout=30)
    assert held.returncode == NO_RESULT
    assert "the debate was cancelled" in errors
