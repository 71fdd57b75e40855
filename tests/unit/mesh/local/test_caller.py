"""Variables and folders of the caller: absolute and UTF-8 for the runner, or refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mesh.local import caller
from mesh.local.client import LocalRunner
from mesh.local.errors import LocalError

LATIN_1 = os.fsdecode(b"/home/\xdcbung")
"""As Python has a name that is not UTF-8."""


def test_a_relative_path_means_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner has another working folder: what it gets is absolute; lists of folders are taken apart."""
    monkeypatch.chdir(tmp_path)
    given = {
        "ROSTRUM_CACHE": "cache", "KAFKA_TLS_FOLDER": "../tls", "OPENAI_API_KEY_FILE": "key",
        "SSL_CERT_FILE": "/ca.pem", "SSL_CERT_DIR": "certs:/etc/certs", "REQUESTS_CA_BUNDLE": "", "MODEL": "openai:x",
    }  # fmt: skip
    assert caller.variables_of(given) == {
        "ROSTRUM_CACHE": f"{tmp_path}/cache", "KAFKA_TLS_FOLDER": f"{tmp_path}/../tls",
        "OPENAI_API_KEY_FILE": f"{tmp_path}/key", "SSL_CERT_FILE": "/ca.pem",
        "SSL_CERT_DIR": f"{tmp_path}/certs:/etc/certs", "REQUESTS_CA_BUNDLE": "", "MODEL": "openai:x",
    }  # fmt: skip


def test_a_variable_that_is_not_utf8_is_left_out() -> None:
    """Nobody's start fails because of a prompt or a colour table in another encoding."""
    assert caller.variables_of({"PS1": LATIN_1, LATIN_1: "x", "LANG": "de_DE"}) == {"LANG": "de_DE"}


@pytest.mark.parametrize("name", [*caller.PATHS, *caller.PATH_LISTS])
def test_a_path_that_is_not_utf8_is_refused_by_name(name: str) -> None:
    """No format on the way could express it."""
    with pytest.raises(LocalError, match=rf"{name} is b'/home/\\xdcbung', which is not UTF-8: choose") as refused:
        caller.variables_of({name: LATIN_1})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("home", "environ", "line"),
    [
        (LATIN_1, {}, "ROSTRUM_HOME is .* not UTF-8"),
        ("/" + "x" * 3_800, {}, "ROSTRUM_HOME is a path of 3801 bytes, and 430 are possible: choose a shorter one"),
        ("/home", {"ROSTRUM_CACHE": "/a:b"}, "ROSTRUM_CACHE is '/a:b', and for Java a path ends at a colon: choose"),
        ("/home", {"XDG_CACHE_HOME": "/a:b"}, "ROSTRUM_CACHE is '/a:b/rostrum', and for Java"),
        ("/home", {"ROSTRUM_CACHE": LATIN_1}, "ROSTRUM_CACHE is .* not UTF-8"),
    ],
)
async def test_what_cannot_be_expressed_is_refused_before_anything_is_written(
    home: str, environ: dict[str, str], line: str, tmp_path: Path
) -> None:
    """By name, with what to do; the folder is not there afterwards either."""
    folder = Path(f"{tmp_path}{home}")
    with pytest.raises(LocalError, match=line):
        caller.demand_usable(Path(home), environ)
    with pytest.raises(LocalError):
        await LocalRunner(folder, environ).start("openai:x", lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "home", ["/Übung", "/日本", "/a\\b", "/a, b", "/a?b#c", "/a%20b", "/ a 'b' \"c\" $d `e` {f}\n", "/-"]
)
def test_any_other_name_of_a_home_is_fine(home: str) -> None:
    """Whatever its characters mean elsewhere."""
    caller.demand_usable(Path(home), {"ROSTRUM_CACHE": f"{home}/cache"})


def test_another_cluster_needs_no_java() -> None:
    """A colon is only our own broker's matter."""
    caller.demand_usable(Path("/home"), {"ROSTRUM_CACHE": "/a:b", "KAFKA_BOOTSTRAP_SERVERS": "k:9092"})
