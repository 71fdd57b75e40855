"""Settings are read once, whole or not at all."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import TYPE_CHECKING

import pytest

from mesh.settings import SettingsError, count, load, positive_seconds, setting

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class _Settings:
    name: str = setting("NAME", "name of the service")
    wait_seconds: float = setting("WAIT_SECONDS", "seconds to wait", default=2.5, parse=positive_seconds)
    tries: int = setting("TRIES", "how often to try", default=3, parse=count)
    key: str | None = setting("API_KEY", "the key", default=None, secret=True)


def test_defaults_and_values() -> None:
    """What is set is parsed, what is not has its default; an empty variable counts as not set."""
    settings = load(_Settings, {"NAME": "team-a", "TRIES": "5", "WAIT_SECONDS": "", "OTHER": "ignored"})
    assert settings == _Settings(name="team-a", wait_seconds=2.5, tries=5, key=None)


def test_settings_do_not_change() -> None:
    """A field cannot be set after the start."""
    settings = load(_Settings, {"NAME": "team-a"})
    with pytest.raises(FrozenInstanceError):
        settings.name = "team-b"  # type: ignore[misc]


def test_all_faults_are_said_together() -> None:
    """One error has a line for each fault, with the variable, its value and what is expected."""
    with pytest.raises(SettingsError) as caught:
        load(_Settings, {"TRIES": "0", "WAIT_SECONDS": "soon"})
    assert len(caught.value.faults) == 3
    for part in ("NAME is not set: name of the service", "TRIES '0' is wrong", "WAIT_SECONDS 'soon' is wrong"):
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x"])
def test_seconds_are_above_zero_and_finite(text: str) -> None:
    """Zero, negative, endless and no numbers are refused."""
    with pytest.raises(SettingsError):
        load(_Settings, {"NAME": "a", "WAIT_SECONDS": text})


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """API_KEY_FILE names a file; white space around its content does not count."""
    file = tmp_path / "key"
    file.write_text("s3cret\n", "utf-8")
    assert load(_Settings, {"NAME": "a", "API_KEY_FILE": str(file)}).key == "s3cret"


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    """Both the variable and its file: refused, without the value; a file that is not there is refused by name."""
    with pytest.raises(SettingsError) as both:
        load(_Settings, {"NAME": "a", "API_KEY": "s3cret", "API_KEY_FILE": str(tmp_path / "key")})
    assert "s3cret" not in str(both.value)
    with pytest.raises(SettingsError, match="API_KEY is wrong"):
        load(_Settings, {"NAME": "a", "API_KEY_FILE": str(tmp_path / "none")})
