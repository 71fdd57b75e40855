"""Settings: frozen dataclasses read once from the environment, all faults reported together.

A field is declared with `setting("NAME", doc, ...)`. Its value is read from the variable NAME, or, for a secret, from
the file that NAME_FILE names. Nothing else in the tree reads the environment: only `wiring` and the entry points of
`mesh` call `load`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class SettingsError(Exception):
    """One or more settings are wrong or missing; the message has a line for each, with what is expected."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclasses.dataclass(frozen=True)
class _Source:
    name: str
    doc: str
    parse: Callable[[str], Any]
    secret: bool


def setting(
    name: str, doc: str, *, default: Any = dataclasses.MISSING, parse: Callable[[str], Any] = str, secret: bool = False
) -> Any:
    """Declares a field. `doc` says what is expected, with its unit; `parse` raises ValueError with a reason."""
    return dataclasses.field(default=default, metadata={"source": _Source(name, doc, parse, secret)})


def positive_seconds(text: str) -> float:
    """Parses a number of seconds above 0."""
    value = float(text)
    if not 0 < value < 1e9:
        message = "not a number of seconds above 0"
        raise ValueError(message)
    return value


def count(text: str) -> int:
    """Parses a whole number, 1 or more."""
    value = int(text)
    if value < 1:
        message = "not a whole number of 1 or more"
        raise ValueError(message)
    return value


def load(cls: type[T], environ: Mapping[str, str]) -> T:
    """Builds the dataclass `cls` from the environment. Raises SettingsError with every fault at once."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        source: _Source = field.metadata["source"]
        try:
            text = _text(source, environ)
            if text is None:
                if field.default is dataclasses.MISSING:
                    faults.append(f"{source.name} is not set: {source.doc}")
                continue
            values[field.name] = source.parse(text)
        except (ValueError, OSError) as error:
            shown = "" if source.secret else f" {environ.get(source.name)!r}"
            faults.append(f"{source.name}{shown} is wrong ({error}): {source.doc}")
    if faults:
        raise SettingsError(faults)
    return cls(**values)


def _text(source: _Source, environ: Mapping[str, str]) -> str | None:
    text = environ.get(source.name, "")
    file = environ.get(f"{source.name}_FILE", "") if source.secret else ""
    if text and file:
        message = f"both {source.name} and {source.name}_FILE are set"
        raise ValueError(message)
    if file:
        text = Path(file).read_text("utf-8").strip()
    return text or None
