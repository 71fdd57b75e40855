"""Answers in JSON with every type in the wrong place, as models write them when they lose their way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**30), 2**63, 0, 7]),
    st.floats(),
    st.text(),
    st.sampled_from(["", " ", "team-a", "team-b", "undecided", "yes", "9/10", "null", "\x00", "\ud800", "Is it so?"]),
)


def answers(names: Sequence[str]) -> st.SearchStrategy[str]:
    """Returns answers whose objects have these fields, others, or none, and any value in each; or half of one."""
    keys = st.one_of(st.sampled_from(list(names)), st.text(max_size=3))
    values: st.SearchStrategy[Any] = st.recursive(
        _LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5)),
        max_leaves=12,
    )
    whole = st.dictionaries(keys, values, max_size=6).map(_dump)
    any_value = values.map(_dump)
    half = st.tuples(whole, st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]])
    deep = st.sampled_from(["[" * 100_000, '{"a":' * 50_000, "[" * 5_000 + "]" * 5_000, '{"points": ' + "[" * 20_000])
    return st.one_of(whole, whole, any_value, half, deep, whole.map(lambda text: f"Here it is:\n```json\n{text}\n```"))


def _dump(value: Any) -> str:
    return json.dumps(value)
