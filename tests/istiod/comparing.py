"""What differs between two configurations of one proxy, field by field: nothing is passed over here.

What may differ is in the table of tests/istiod/normalise.py, which both sides go through first. Called by the tests of
this tier; usable wherever a configuration of ours is to be held to istiod's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tests.istiod.normalise import Side, normalise

Resources: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""listeners, clusters, routes, endpoints of one proxy, as Envoy's JSON."""

_LONGEST = 300
"""Characters of a value that a line shows."""


def differences(istiod: Resources, ours: Resources) -> list[str]:
    """Returns one line for each field in which the two differ, its path first; none if they are equal.

    Both are taken as they are sent: the differences by design are removed here.
    """
    return list(_differences("", normalise(istiod, Side.ISTIOD), normalise(ours, Side.OURS)))


def _differences(path: str, istiod: Any, ours: Any) -> Iterator[str]:
    if isinstance(istiod, Mapping) and isinstance(ours, Mapping):
        for key in sorted(istiod.keys() | ours.keys(), key=str):
            below = f"{path}.{key}" if path and not str(key).startswith("[") else f"{path}{key}"
            if key not in ours:
                yield f"{below}: only istiod has it: {_shown(istiod[key])}"
            elif key not in istiod:
                yield f"{below}: only ours has it: {_shown(ours[key])}"
            else:
                yield from _differences(below, istiod[key], ours[key])
    elif isinstance(istiod, list) and isinstance(ours, list):
        yield from _of_lists(path, istiod, ours)
    elif _type(istiod) is not _type(ours) or istiod != ours:
        yield f"{path}: istiod {_shown(istiod)}, ours {_shown(ours)}"


def _type(value: Any) -> type:
    """1 is 1.0, as in JSON; True is not 1."""
    return float if type(value) is int else type(value)


def _of_lists(path: str, istiod: list[Any], ours: list[Any]) -> Iterator[str]:
    for number, (one, other) in enumerate(zip(istiod, ours, strict=False)):
        yield from _differences(f"{path}[{number}]", one, other)
    for number, extra in enumerate(istiod[len(ours) :], start=len(ours)):
        yield f"{path}[{number}]: only istiod has it: {_shown(extra)}"
    for number, extra in enumerate(ours[len(istiod) :], start=len(istiod)):
        yield f"{path}[{number}]: only ours has it: {_shown(extra)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
