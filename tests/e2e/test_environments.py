"""The `rostrum` command in the environments that people have: a row a case, each by the real command.

A row says what is unusual and what a user sees then: the exit code, words of stdout, words of the one line on stderr.
Whatever it is, no row ends in a traceback or in "a fault of ours". Rows that need something running share one system.
"""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.cache import cache_folder
from mesh.testing.proxy import ScriptedProxy
from tests.e2e.test_commands import FAILURE, NOT_RUNNING, OK, UNAVAILABLE, USAGE
from tests.support.hosted import HOST, hosted
from tests.support.model_server import model_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

ROSTRUM = Path(sys.executable).with_name("rostrum")
DEAD_PROXY = "http://127.0.0.1:9"
TOPIC = (
    "What people write: na\u00efve, \u65e5\u672c\u3000\u6771\u4eac, \u0645\u06cc\u200c\u062e\u0648, "
    "\U0001f469\u200d\U0001f52c, 100\u202f%"
)
"""With an ideographic space, both joiners, and a narrow space that does not break."""
PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
TOKEN = "eyJ"
"""How each token begins."""


@dataclass(frozen=True)
class Case:
    """One row. All of it is optional but what is unusual, and what comes of it."""

    name: str
    arguments: tuple[str, ...] = ("token",)
    exit_code: int = OK
    stdout: str = ""
    """Words that stand on stdout."""
    stderr: str = ""
    """Words of the one line on stderr; empty: whatever it says, it is no failure."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Beside the test's own; None takes a variable away. "{home}" is the home folder, "{folder}" the row's own."""
    before: str = ""
    """Shell words before the command, such as "ulimit -n 20;" or "cd gone; rmdir ../gone;"."""
    after: str = ""
    """Shell words after the command, such as ">&-" or "| head -1"."""
    stdin: bytes | None = None
    is_running: bool = False
    """Whether the home is that of the running system; else it is a new one, in which nothing runs."""


def everywhere(value: str) -> dict[str, str | None]:
    """Returns that value for each variable of a proxy, in both cases, and nothing that spares anybody from it."""
    names = [*PROXIES, *(name.upper() for name in PROXIES)]
    return {**dict.fromkeys(names, value), "no_proxy": None, "NO_PROXY": None}


GONE = "mkdir gone; cd gone; rmdir ../gone;"
SHADOWS = "for name in typing json grpc typer rich; do echo 'raise SystemExit(9)' > $name.py; done;"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SHOW = ("show", "{debate}")
STATUS, LIST, HELP = ("status",), ("list",), ("--help",)


def stopped(name: str, *, before: str = "", environment: Mapping[str, str | None] | None = None) -> Case:
    """A row whose command says that nothing runs."""
    return Case(name, STATUS, NOT_RUNNING, stderr="does not run in", before=before, environment=environment or {})


OUTPUT_ROWS = (
    Case("stdout in Latin-1", LIST, stdout="STATE", environment={"PYTHONIOENCODING": "latin-1"}, is_running=True),
    Case(
        "words that ASCII lacks", SHOW, stdout="na?ve, ??", environment={"PYTHONIOENCODING": "ascii"}, is_running=True
    ),
    Case(
        "JSON in ASCII",
        (*SHOW, "--json"),
        stdout=r"na\u00efve",
        environment={"PYTHONIOENCODING": "ascii"},
        is_running=True,
    ),
    Case("an ASCII locale", SHOW, stdout="na?ve, ??", environment=ASCII, is_running=True),
    Case(
        "UTF-8 arguments in an ASCII locale",
        ("show", "\u00dcbung"),
        USAGE,
        stderr="'?bung' is no debate's id",
        environment=ASCII,
    ),
    Case("all that people write", SHOW, stdout=TOPIC, is_running=True),
    Case("stdout in ASCII", HELP, stdout="Usage", environment={"PYTHONIOENCODING": "ascii"}),
    Case("the C locale", HELP, stdout="Usage", environment={"LC_ALL": "C", "PYTHONUTF8": "0"}),
    Case("no locale", environment={"LANG": None, "LC_ALL": None}, stdout=TOKEN),
    Case("a locale that does not exist", environment={"LC_ALL": "xx_YY.KOI9"}, stdout=TOKEN),
    Case("stdout closed", after=">&-"),
    Case("stderr closed", STATUS, exit_code=NOT_RUNNING, after="2>&-"),
    Case("stdout closed and stdin too", after="<&- >&-"),
    Case("stdout full", exit_code=FAILURE, stderr="the output cannot be written: No space left", after=">/dev/full"),
    Case("stdout full, of help", HELP, FAILURE, stderr="the output cannot be written", after=">/dev/full"),
    Case("stderr full", STATUS, exit_code=NOT_RUNNING, after="2>/dev/full"),
    Case("a reader that leaves", HELP, after="| head -1"),
    Case("a reader that never was", after="| true"),
    Case("a reader of stderr that left", STATUS, exit_code=NOT_RUNNING, after="2> >(true)"),
    Case("all closed", STATUS, exit_code=NOT_RUNNING, after="<&- >&- 2>&-"),
    Case("stdin closed", after="<&-", stdout=TOKEN),
    Case("stdin is nothing", after="</dev/null", stdout=TOKEN),
)

TERMINAL_ROWS = (
    *(
        Case(f"TERM={term}", HELP, stdout="Usage", environment={"TERM": term})
        for term in ("dumb", "nonsense", "", "xterm-kitty")
    ),
    Case("no TERM", HELP, stdout="Usage", environment={"TERM": None}),
    Case("NO_COLOR", HELP, stdout="Usage", environment={"NO_COLOR": "1", "FORCE_COLOR": None}),
    Case("20 columns", LIST, stdout="STATE", environment={"COLUMNS": "20"}, is_running=True),
    *(stopped(f"COLUMNS={size}", environment={"COLUMNS": size}) for size in ("0", "1", "-5", "text", "9" * 12, "٣")),
    *(Case(f"help, COLUMNS={size}", HELP, stdout="Usage", environment={"COLUMNS": size}) for size in ("1", "9" * 12)),
    Case("Typer's own width in words", HELP, stdout="Usage", environment={"TERMINAL_WIDTH": "wide"}),
    Case("colours forced into a pipe", LIST, stdout="STATE", environment={"FORCE_COLOR": "1"}, is_running=True),
)

FOLDER_ROWS = (
    Case("no HOME", environment={"HOME": None}, stdout=TOKEN),
    Case("HOME does not exist", environment={"HOME": "/nowhere/at/all"}, stdout=TOKEN),
    Case("HOME is a file", environment={"HOME": "/etc/passwd"}, stdout=TOKEN),
    stopped("a working folder that is gone", before=GONE),
    Case(
        "a home in a working folder that is gone",
        STATUS,
        FAILURE,
        stderr="working folder does not exist any more",
        before=GONE,
        environment={"ROSTRUM_HOME": ".rostrum"},
    ),
    Case("home is a file", STATUS, NOT_RUNNING, stderr="does not run in", environment={"ROSTRUM_HOME": "/etc/passwd"}),
    Case(
        "home is below a file",
        exit_code=FAILURE,
        stderr="Not a directory",
        environment={"ROSTRUM_HOME": "/etc/passwd/h"},
    ),
    Case(
        "home is where nobody may write",
        exit_code=FAILURE,
        stderr="Cannot write",
        environment={"ROSTRUM_HOME": "/proc/h"},
    ),
    stopped("no variables at all", before="exec env -i ROSTRUM_HOME={home}"),
)

SYSTEM_ROWS = (
    *(
        Case(f"TZ={zone}", LIST, stdout="STATE", environment={"TZ": zone}, is_running=True)
        for zone in ("Nowhere/Town", "UTC-99", "", "../../etc/passwd")
    ),
    stopped("few files", before="ulimit -n 20;"),
    Case("umask 000", before="umask 000;", stdout=TOKEN),
    Case("umask 077", before="umask 077;", stdout=TOKEN),
)

PYTHON_ROWS = (
    Case("warnings are errors", LIST, stdout="STATE", environment={"PYTHONWARNINGS": "error"}, is_running=True),
    stopped("PYTHONPATH has other packages", before=SHADOWS, environment={"PYTHONPATH": "{folder}"}),
    stopped("PYTHONPATH is relative", before=SHADOWS, environment={"PYTHONPATH": "./"}),
    stopped(
        "PYTHONPATH and PYTHONSAFEPATH", before=SHADOWS, environment={"PYTHONPATH": "{folder}", "PYTHONSAFEPATH": "1"}
    ),
    stopped("PYTHONSTARTUP", environment={"PYTHONSTARTUP": "/nowhere.py"}),
    Case(
        "buffered",
        exit_code=FAILURE,
        stderr="cannot be written",
        after=">/dev/full",
        environment={"PYTHONUNBUFFERED": None},
    ),
    Case("optimized away", stdout=TOKEN, environment={"PYTHONOPTIMIZE": "2"}),
    Case("developer's mode", stdout=TOKEN, environment={"PYTHONDEVMODE": "1"}),
)

UP = ("up", "--detach", "--model")
HOSTED: dict[str, str | None] = {"OPENAI_BASE_URL": f"https://{HOST}/v1", "OPENAI_API_KEY": "k", "SSL_CERT_FILE": None}

REFUSED_ROWS = (
    *(
        Case(f"hosted by {value}", (*UP, "openai:x"), USAGE, stderr=words, environment={**HOSTED, "https_proxy": value})
        for value, words in (
            ("gopher://x:1", "https_proxy is 'gopher://x:1': its kind is not known"),
            ("socks4://x:1", "https_proxy is 'socks4://x:1': its kind is not known"),
            ("not a proxy", "which is no proxy's address: write it like"),
            ("http://user:s3cret@:80", "https_proxy is ':80', which is no proxy's address"),
        )
    ),
    *(
        Case(
            f"hosted by {proxy}",
            (*UP, "openai:x"),
            UNAVAILABLE,
            stderr="is this the way there, by the proxy 127.0.0.1:9",
            environment={**HOSTED, **everywhere(proxy)},
        )
        for proxy in (DEAD_PROXY, "socks5://127.0.0.1:9", "socks5h://127.0.0.1:9", "socks://127.0.0.1:9", "127.0.0.1:9")
    ),
    Case(
        "spared by NO_PROXY",
        (*UP, "openai:x"),
        UNAVAILABLE,
        stderr="is this the way there (HTTPS_PROXY",
        environment={**HOSTED, **everywhere("gopher://x"), "NO_PROXY": "10.0.0.0/8, .example.com:443"},
    ),
    Case(
        "certificates that are not there",
        (*UP, "openai:x"),
        USAGE,
        stderr="SSL_CERT_FILE is '/nowhere.pem'",
        environment={**HOSTED, **everywhere(""), "SSL_CERT_FILE": "/nowhere.pem"},
    ),
    Case(
        "a bundle that is none",
        (*UP, "openai:x"),
        USAGE,
        stderr="REQUESTS_CA_BUNDLE is '/etc/passwd'",
        environment={**HOSTED, **everywhere(""), "REQUESTS_CA_BUNDLE": "/etc/passwd"},
    ),
    Case(
        "a bundle that is none, of an Ollama",
        (*UP, "auto"),
        USAGE,
        stderr="REQUESTS_CA_BUNDLE is '/etc/passwd'",
        environment={
            **everywhere(""),
            "OLLAMA_HOST": f"https://{HOST}",
            "SSL_CERT_FILE": None,
            "REQUESTS_CA_BUNDLE": "/etc/passwd",
        },
    ),
    Case(
        "no port of an Ollama",
        (*UP, "auto"),
        USAGE,
        stderr="OLLAMA_HOST has the port 'none'",
        environment={"OLLAMA_HOST": "box:none"},
    ),
    Case(
        "no Ollama",
        (*UP, "ollama:x"),
        UNAVAILABLE,
        stderr="no Ollama answers at http://127.0.0.1:9: start it",
        environment={**everywhere("socks://nowhere.invalid:1"), "OLLAMA_HOST": "0.0.0.0:9/v1/"},
    ),
    Case(
        "an Ollama elsewhere",
        (*UP, "ollama:x"),
        UNAVAILABLE,
        stderr="by the proxy 127.0.0.1:9",
        environment={**everywhere(DEAD_PROXY), "OLLAMA_HOST": f"http://{HOST}"},
    ),
    Case(
        "too few files",
        (*UP, "openai:x"),
        USAGE,
        stderr="1,024 are needed: raise it with `ulimit -Hn`",
        before="ulimit -n 200;",
        environment={**everywhere(DEAD_PROXY), "OPENAI_BASE_URL": "{model}"},
    ),
)

PROXY_ROWS = (
    *(
        Case(f"by {proxy}", arguments, stdout=words, environment=everywhere(proxy), is_running=True)
        for proxy in (DEAD_PROXY, "socks5://127.0.0.1:9", "socks5h://nowhere.invalid:9", "not a proxy", "://", "")
        for arguments, words in ((LIST, "STATE"), (("ask", "team-a", "Who?"), ""), (STATUS, "kafka-0"))
    ),
)

HOMES = (
    *("Übung", "日本", "a\\b", "a, b", "a?b#c", "a%20b", "-rf", " a ", "$HOME", "`id`", "a'b\"c", "~", "a\nb", "a:b;c"),
    "x" * 250,
)
NOT_UTF8 = os.fsdecode(b"caf\xe9")


def in_home(name: str, arguments: tuple[str, ...], exit_code: int = OK, *, stdout: str = "", stderr: str = "") -> Case:
    """A row whose home has that name, in the row's folder."""
    return Case(
        f"home {name[:20]!r}: {arguments[0]}", arguments, exit_code,
        environment={"ROSTRUM_HOME": f"{{folder}}/{name}", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
        stdout=stdout, stderr=stderr,
    )  # fmt: skip


def refused(name: str, line: str, **environment: str) -> Case:
    """A row whose start is refused before anything is written, or any model asked."""
    return Case(name, ("up", "--detach", "--model", "openai:x"), USAGE, stderr=line, environment=environment)


HOME_ROWS = (
    *(in_home(name, ("token",), stdout=TOKEN) for name in (*HOMES, NOT_UTF8)),
    *(in_home(name, STATUS, NOT_RUNNING, stderr="does not run in") for name in ("a, b", "a\nb", NOT_UTF8)),
    refused("home not UTF-8", "ROSTRUM_HOME is b'", ROSTRUM_HOME=f"{{folder}}/{NOT_UTF8}"),
    refused("home too long", "430 are possible: choose a shorter one", ROSTRUM_HOME="{folder}" + "/long" * 90),
    refused("cache with a colon", "for Java a path ends at a colon", ROSTRUM_CACHE="{folder}/a:b"),
    refused("cache not UTF-8", "ROSTRUM_CACHE is b'", ROSTRUM_CACHE=f"{{folder}}/{NOT_UTF8}"),
    refused("manifests not UTF-8", "ROSTRUM_MANIFESTS is b'", ROSTRUM_MANIFESTS=f"{{folder}}/{NOT_UTF8}"),
    Case(
        "home is a file", exit_code=FAILURE, stderr="Cannot write", before='touch "{folder}/f";',
        environment={"ROSTRUM_HOME": "{folder}/f"},
    ),
    Case(
        "home below a file", exit_code=FAILURE, stderr="Cannot write", before='touch "{folder}/f";',
        environment={"ROSTRUM_HOME": "{folder}/f/home"},
    ),
    Case(
        "home is a link", stdout=TOKEN, before='mkdir "{folder}/d"; ln -s d "{folder}/l";',
        environment={"ROSTRUM_HOME": "{folder}/l"},
    ),
    Case(
        "home is a link to nothing", exit_code=FAILURE, stderr="Cannot write", before='ln -s none "{folder}/l";',
        environment={"ROSTRUM_HOME": "{folder}/l"},
    ),
    Case("home is /proc", exit_code=FAILURE, stderr="Cannot write", environment={"ROSTRUM_HOME": "/proc/home"}),
    Case(
        "a key that is none", exit_code=FAILURE, stderr="tokens.pem is no private key: remove",
        before='mkdir -p "{home}/keys"; install -m 600 /dev/null "{home}/keys/tokens.pem";',
    ),
    Case(
        "a key for all to read", exit_code=FAILURE, stderr="can be read by others than its owner: remove",
        before='mkdir -p "{home}/keys"; install -m 644 /dev/null "{home}/keys/tokens.pem";',
    ),
)  # fmt: skip

ROWS = (*OUTPUT_ROWS, *TERMINAL_ROWS, *FOLDER_ROWS, *SYSTEM_ROWS, *PYTHON_ROWS, *REFUSED_ROWS, *PROXY_ROWS, *HOME_ROWS)


@pytest.fixture(scope="module")
def debate(system: System) -> str:
    """The id of a debate of the running system that has ended."""
    name = system.create(TOPIC, rounds=1)
    system.wait_for_end(name)
    return name.removeprefix("debates/")


def run_case(
    case: Case, home: Path, folder: Path, debate: str = "", *, seconds: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Runs the command of a row by a shell, in a folder of its own, and returns what it printed."""
    places = {"home": str(home), "folder": str(folder), "debate": debate, "model": model_url()}

    def fill(text: str) -> str:
        for name, place in places.items():
            text = text.replace(f"{{{name}}}", place)
        return text

    environment = {**os.environ, "ROSTRUM_HOME": str(home)}
    for name, value in case.environment.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = fill(value)
    script = f'{fill(case.before)} "$@" {case.after}; exit ${{PIPESTATUS[0]}}'
    return subprocess.run(
        ["bash", "-c", script, "bash", str(ROSTRUM), *map(fill, case.arguments)],
        env=environment, cwd=folder, input=case.stdin, capture_output=True, timeout=seconds, check=False,
    )  # fmt: skip


def check_result(case: Case, result: subprocess.CompletedProcess[bytes]) -> None:
    """The documented exit code; the words on stdout; a failure is one line, never a traceback or a fault of ours."""
    # Some rows ask for another encoding than UTF-8: what is looked for is in ASCII, and so the same in all of them.
    stdout, stderr = (text.decode("utf-8", errors="replace") for text in (result.stdout, result.stderr))
    assert result.returncode == case.exit_code, stderr + stdout
    for word in ("Traceback", "a fault of ours", "Exception ignored", "Fatal Python", "Warning", "s3cret"):
        assert word not in stderr + stdout
    assert case.stdout in stdout
    lines = [line for line in stderr.splitlines() if line.startswith("rostrum: ")]
    assert len(lines) <= (0 if case.exit_code == OK else 1), stderr
    assert case.stderr in stderr


@pytest.mark.parametrize("case", [case for case in ROWS if not case.is_running], ids=lambda case: case.name)
def test_environment(case: Case, tmp_path: Path) -> None:
    """A command that needs nothing running does its work, or ends with one line, whatever it is called from."""
    check_result(case, run_case(case, tmp_path / "home", tmp_path))


@pytest.mark.parametrize("case", [case for case in ROWS if case.is_running], ids=lambda case: case.name)
def test_environment_of_a_running_system(case: Case, system: System, debate: str, tmp_path: Path) -> None:
    """A command that asks what runs does its work, or ends with one line, whatever it is called from."""
    check_result(case, run_case(case, system.home, tmp_path, debate))


@pytest.mark.parametrize("term", ["xterm-256color", "dumb", "nonsense"])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (20, 5), (1, 1), (0, 0), (1000, 500)])
def test_a_terminal(system: System, debate: str, columns: int, lines: int, term: str) -> None:
    """Of any size and kind: each command shows all of its words there, and no more than a terminal understands."""
    kept = {name: value for name, value in system.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    for arguments in ((*SHOW[:1], debate), LIST, STATUS):
        master, slave = os.openpty()
        termios.tcsetwinsize(slave, (lines, columns))
        with subprocess.Popen(
            [ROSTRUM, *arguments], env={**kept, "TERM": term}, stdin=slave, stdout=slave, stderr=slave
        ) as process:
            os.close(slave)
            written = b"".join(_read_all(master))
            os.close(master)
        text = written.decode()
        assert process.returncode == OK, text
        assert "Traceback" not in text
        assert not (term == "dumb" and "\x1b" in text)
        if arguments[0] == "show":
            for word in ("\u65e5\u672c", "\u0645\u06cc\u200c\u062e\u0648", "\U0001f469\u200d\U0001f52c"):
                assert word in text


def _read_all(master: int) -> Iterator[bytes]:
    """Yields what is written to a terminal until nobody can write to it any more."""
    with suppress(OSError):  # EIO, at the end
        while data := os.read(master, 65_536):
            yield data


def test_a_debate_from_a_hostile_environment(tmp_path: Path) -> None:
    """All of it at once, from a start to an end: the hosted model is called by the proxy, and nothing else is."""
    caller = tmp_path / "caller"
    caller.mkdir()
    with hosted(tmp_path / "ca") as (server, address), ScriptedProxy({f"{HOST}:443": address}) as proxy:
        case = Case(
            "hostile",
            ("debate", "Held in a storm", "--rounds", "1", "--model", "openai:scripted"),
            stdout="Ended: 2 turns",
            before=f"{SHADOWS} umask 000; ulimit -Sn 64; trap '' INT CHLD PIPE; export ODD=$'\\xff'; unset HOME;{GONE}",
            after="<&-",
            environment={
                **everywhere(DEAD_PROXY),
                "https_proxy": f"socks://{proxy.address}",
                "HTTPS_PROXY": "gopher://nowhere",
                "OPENAI_BASE_URL": f"https://{HOST}/v1",
                "OPENAI_API_KEY": "s3cret",
                "SSL_CERT_FILE": None,
                "SSL_CERT_DIR": None,
                "REQUESTS_CA_BUNDLE": str(tmp_path / "ca" / "root.pem"),
                **ASCII,
                "LANG": None,
                "PYTHONPATH": str(caller),
                "PYTHONWARNINGS": "error",
                "PYTHONIOENCODING": "ascii",
                "TZ": "UTC-99",
                "TERM": "nonsense",
                "COLUMNS": "0",
                "TMPDIR": "/nowhere",
                "ROSTRUM_CACHE": str(cache_folder(os.environ)),
            },
        )
        check_result(case, run_case(case, tmp_path / "home", caller, seconds=110))
        assert set(proxy.asked) == {f"{HOST}:443"}
        assert len(server.bodies) > 2
        assert {headers["authorization"] for headers in server.headers} == {"Bearer s3cret"}
    home = tmp_path / "home"
    assert not [path for path in (home, *home.iterdir()) if path.stat().st_mode & 0o077]  # nobody else comes in,
    assert not [path for path in home.rglob("*") if path.lstat().st_mode & 0o022 and not path.is_symlink()]
