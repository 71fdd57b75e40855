"""Where the cache of all homes is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.cache import NoCacheError, cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"ROSTRUM_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/rostrum"),
        ({"XDG_CACHE_HOME": "x"}, "/me/.cache/rostrum"),
        ({"XDG_CACHE_HOME": ""}, "/me/.cache/rostrum"),
        ({}, "/me/.cache/rostrum"),
    ],
)
def test_the_first_that_is_set_wins(environ: Mapping[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROSTRUM_CACHE, an absolute XDG_CACHE_HOME, the user's own."""
    monkeypatch.setenv("HOME", "/me")
    assert cache_folder(environ) == Path(folder)


def test_a_relative_one_means_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is absolute from there on, whoever asks."""
    monkeypatch.chdir(tmp_path)
    assert cache_folder({"ROSTRUM_CACHE": "c"}) == tmp_path / "c"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a container that runs by a number that /etc/passwd lacks; HOME, where it is empty, says nothing."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_123)
    for environ in ({}, {"HOME": ""}):
        with pytest.raises(NoCacheError, match="set ROSTRUM_CACHE"):
            cache_folder(environ)
    assert cache_folder({"ROSTRUM_CACHE": "/c"}) == Path("/c")


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means nothing then, and that is said; an absolute one is what it was."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(NoCacheError, match="working folder"):
        cache_folder({"ROSTRUM_CACHE": "c"})
    assert cache_folder({"ROSTRUM_CACHE": "/c"}) == Path("/c")
