"""Where the cache of all homes is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.cache import cache_folder

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
