"""`up`, `down`, `status`, `logs`, `scale`, and what holds for every command."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rostrum.local.v1 import runner_pb2

from mesh.cli import starting
from mesh.cli.exits import BY_CODE, Exit
from mesh.cli.output import Output, clean
from mesh.cli.program import explain
from mesh.errors import Code
from mesh.local.errors import NotRunningError, PortInUseError
from tests.support.fake_world import APP
from tests.support.model_server import model_url

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_world import Bench


def test_up_detached(bench: Bench) -> None:
    """It starts with the model asked for, says which, shows the pods, and leaves all running."""
    bench.runner.running = False
    bench.environ["OPENAI_BASE_URL"] = model_url()
    result = bench.rostrum("up", "--detach", "--model", "openai:x")
    assert (result.code, bench.runner.orders) == (Exit.OK, ["start openai:x"])
    assert "Model: openai:x (as asked for)" in result.err
    assert "waiting for the broker" in result.err
    assert "team-a-0" in result.out


@pytest.mark.parametrize(
    ("model", "exit_code", "words"),
    [
        ("ollama:llama9", Exit.NOT_FOUND, "`ollama pull llama9`"),
        ("openai:scripted", Exit.FAILURE, "OPENAI_BASE_URL="),
        ("nothing", Exit.USAGE, "ollama:NAME"),
    ],
)
def test_up_with_a_model_that_cannot_work(bench: Bench, model: str, exit_code: Exit, words: str) -> None:
    """What is wrong with a model is one line with what to do, before anything is started."""
    bench.runner.running = False
    server = model_url().removesuffix("/v1")
    bench.environ.update(OLLAMA_HOST=server, OPENAI_BASE_URL=server)
    result = bench.rostrum("up", "--detach", "--model", model)
    assert (result.code, bench.runner.orders) == (exit_code, [])
    assert words in result.err.splitlines()[-1]


def test_up_with_a_model_of_one_agent(bench: Bench) -> None:
    """A model that a manifest names for one agent is asked too."""
    bench.runner.running = False
    bench.runner.agent_models = ["ollama:llama9"]
    bench.environ.update(OLLAMA_HOST=model_url().removesuffix("/v1"), OPENAI_BASE_URL=model_url())
    result = bench.rostrum("up", "--detach", "--model", "openai:scripted")
    assert (result.code, bench.runner.orders) == (Exit.NOT_FOUND, [])


def test_up_twice(bench: Bench) -> None:
    """The second time starts nothing and is no failure; with another model it is one."""
    assert bench.rostrum("up", "--detach").code == Exit.OK
    assert bench.rostrum("up", "--detach", "--model", "embedded").code == Exit.FAILURE
    assert bench.runner.orders == []


def test_down(bench: Bench) -> None:
    """It stops all; when nothing runs, that is what was wanted."""
    assert bench.rostrum("down").code == Exit.OK
    again = bench.rostrum("down")
    assert (again.code, again.err.splitlines()[-1]) == (Exit.OK, "nothing runs in /home/r")


def test_status_in_json(bench: Bench) -> None:
    """Every pod's name, replica, pid, addresses, ready and restarts, defaults included."""
    pods = bench.rostrum("status", "--json").json["pods"]
    assert {key: pods[1][key] for key in ("name", "replica", "pid", "addresses", "ready", "restarts")} == {
        "name": "team-a-0", "replica": 0, "pid": 100, "addresses": ["127.0.0.1:50051"], "ready": True, "restarts": 0,
    }  # fmt: skip


def test_status_says_which_keys_are_missing(bench: Bench) -> None:
    """Of the issuers whose keys are fetched, those that cannot be, and what it means."""
    bench.runner.key_sets = [
        runner_pb2.KeySet(
            jwks_uri="https://id.example.com/keys", problem="no answer; tokens of its issuer are refused"
        ),
        runner_pb2.KeySet(jwks_uri="https://other.example.com/keys"),
    ]
    said = bench.rostrum("status").err
    assert "Keys of https://id.example.com/keys: no answer; tokens of its issuer are refused\n" in said
    assert "other.example.com" not in said


def test_scale(bench: Bench) -> None:
    """AGENT=N reaches the runner, and the pods as they are then come back."""
    pods = bench.rostrum("scale", "team-a=2", "--json").json["pods"]
    assert [pod["name"] for pod in pods if pod["deployment"] == "team-a"] == ["team-a-0", "team-a-1"]


@pytest.mark.parametrize("target", ["team-a", "=2", "team-a=", "team-a=-1", "team-a=x", "team-a=17", "team-a=٣"])
def test_scale_with_bad_arguments(bench: Bench, target: str) -> None:
    """Exit code 2 and the form that is wanted."""
    result = bench.rostrum("scale", "--", target)
    assert (result.code, bench.runner.orders) == (Exit.USAGE, [])
    assert "AGENT=N" in result.err


def test_logs(bench: Bench, tmp_path: Path) -> None:
    """One pod's lines as they are; of several pods each with its name; as many as asked for."""
    bench.runner.log_folder = tmp_path
    (tmp_path / "team-a-0.log").write_text("one\ntwo\nthree\n", "utf-8")
    (tmp_path / "team-b-0.log").write_text("four\n", "utf-8")
    assert bench.rostrum("logs", "team-a-0", "--tail", "2").out == "two\nthree\n"
    assert bench.rostrum("logs", "team-a").out == "one\ntwo\nthree\n"
    (tmp_path / "team-a-0.envoy.log").write_text("a call\n", "utf-8")
    assert bench.rostrum("logs", "team-a-0.envoy").out == "a call\n"
    assert bench.rostrum("logs").out == "team-a-0 | one\nteam-a-0 | two\nteam-a-0 | three\nteam-b-0 | four\n"


def test_logs_of_what_has_ended(bench: Bench, tmp_path: Path) -> None:
    """After a start that failed, the logs that are left can be read."""
    bench.runner.running = False
    bench.home = tmp_path
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "team-a-0.log").write_text("why it ended\n", "utf-8")
    assert bench.rostrum("logs", "team-a").out == "why it ended\n"


def test_logs_of_no_pod(bench: Bench) -> None:
    """Exit code 4 and the pods there are."""
    result = bench.rostrum("logs", "team-z-0")
    assert result.code == Exit.NOT_FOUND
    assert "there are: moderator-0, team-a-0, team-b-0" in result.err


def test_every_error_has_an_exit_code() -> None:
    """Each code of the error tree leads to an exit code, and none of them to success."""
    assert set(BY_CODE) == set(Code)
    assert Exit.OK not in BY_CODE.values()


def test_errors_of_the_runner() -> None:
    """Its lines are shown as they are; that nothing runs has an exit code of its own."""
    assert explain(NotRunningError("Nothing runs.")) == ("Nothing runs.", Exit.NOT_RUNNING)
    assert explain(PortInUseError("Port taken.")) == ("Port taken.", Exit.FAILURE)


def test_a_fault_of_ours_is_one_line() -> None:
    """Even an error that nobody thought of ends in a line, not in a traceback."""
    line, code = explain(ZeroDivisionError("division\nby zero"))
    assert (line.count("\n"), code) == (0, Exit.FAILURE)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`rostrum --help` lists all there is to do."""
    assert APP(["--help"], prog_name="rostrum", standalone_mode=False) == 0
    shown = capsys.readouterr().out
    for command in (
        "up",
        "down",
        "status",
        "logs",
        "scale",
        "debate",
        "list",
        "show",
        "watch",
        "cancel",
        "ask",
        "history",
    ):
        assert f" {command} " in shown


def test_clean_takes_what_steers_a_terminal() -> None:
    """Line breaks, tabs and every written language stay; escape, carriage return and the like go."""
    assert clean("a\tb\nc é ü 漢 \u00a0🙂") == "a\tb\nc é ü 漢 \u00a0🙂"
    assert clean("\x1b[2J\r\x07\x9b\x00\u202e") == "[2J"


def test_a_table_in_a_pipe_is_whole() -> None:
    """Columns are aligned, and nothing is cut, however long the line."""
    out = io.StringIO()
    Output(out, io.StringIO()).table(("ID", "TOPIC"), [("d1", "x" * 300), ("d222", "y")])
    assert out.getvalue() == f"ID    TOPIC\nd1    {'x' * 300}\nd222  y\n"


def test_download_in_a_pipe_is_a_line_a_tenth() -> None:
    """Progress in a log file is readable: no control characters, at most eleven lines."""
    err = io.StringIO()
    with Output(io.StringIO(), err).download("model") as progress:
        for done in range(101):
            progress(done * 2**20, 100 * 2**20)
    lines = err.getvalue().splitlines()
    assert (len(lines), lines[-1]) == (11, "model: 100 of 100 MiB")


@pytest.mark.parametrize(
    "command", [("status",), ("up", "--detach"), ("list",), ("status", "--json"), ("get", "Gateway")]
)
def test_what_a_killed_command_left_is_said(bench: Bench, command: tuple[str, ...]) -> None:
    """The next command says what still runs and how to end it, and does its work."""
    bench.runner.starter = 4711
    result = bench.rostrum(*command)
    assert result.code == Exit.OK
    assert "A command that was killed (process 4711) had started this: 3 pods and the runner, process 99" in result.err
    assert "still run; `rostrum down` stops them" in result.err


def test_what_was_left_on_purpose_is_not_said(bench: Bench) -> None:
    """After `up --detach` nobody is to stop it."""
    bench.runner.running = False
    bench.runner.starter = 4711
    bench.environ["OPENAI_BASE_URL"] = model_url()
    assert bench.rostrum("up", "--detach", "--model", "openai:x").code == Exit.OK
    assert "killed" not in bench.rostrum("status").err


def test_a_start_under_way_is_waited_for(bench: Bench) -> None:
    """`up` after a command that was killed while it started: what starts is used, and not started again."""
    bench.runner.polls_until_settled = 3
    result = bench.rostrum("up", "--detach")
    assert (result.code, bench.runner.orders) == (Exit.OK, [])
    assert "another command's start or stop of Rostrum" in result.err
    assert "it ran already" in result.err


def test_a_start_under_way_is_no_stillness(bench: Bench) -> None:
    """Other commands say that it starts, where they said that nothing runs."""
    bench.runner.polls_until_settled = 9
    result = bench.rostrum("status")
    assert result.code == Exit.NOT_RUNNING
    assert "Rostrum starts or stops in" in result.err
    assert "or `rostrum down` ends it" in result.err


def test_a_start_that_hangs_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for within bounds."""
    monkeypatch.setattr(starting, "OTHER_SECONDS", 0.0)
    bench.runner.polls_until_settled = 99
    result = bench.rostrum("up", "--detach")
    assert (result.code, bench.runner.orders) == (Exit.FAILURE, [])
    assert "does not end: `rostrum down` ends it" in result.err
