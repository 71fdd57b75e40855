"""YAML texts as plain values, as yaml.safe_load_all reads them and twice as quickly: a mesh is thousands of documents.

Owns no rule of YAML: libyaml says what a text consists of, PyYAML's resolver what a word stands for. What is rare in
manifests (anchors, tags, merges, keys that are no words) is left to PyYAML altogether. Called by
`mesh.sidecar.document`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml import events

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML has it: ten times as quick as Python's, and the same."""
_ORDINARY = frozenset({"bool", "float", "int", "null", "timestamp"})
_PREFIX = "tag:yaml.org,2002:"


class _RareError(Exception):
    """Something that is left to PyYAML."""


def values(text: str) -> list[Any]:
    """Every document of a text; None for an empty one. Raises yaml.YAMLError."""
    loader = LOADER(text)
    try:
        return list(_documents(loader))
    except _RareError:
        return list(yaml.load_all(text, Loader=LOADER))
    finally:
        loader.dispose()


def _documents(loader: Any) -> Iterator[Any]:
    while type(event := loader.get_event()) is not events.StreamEndEvent:
        if type(event) is events.DocumentStartEvent:
            yield _value(loader, loader.get_event())


def _value(loader: Any, event: Any) -> Any:
    """What begins with this event; the loader stands behind its end afterwards."""
    kind = type(event)
    if kind is events.AliasEvent or event.anchor is not None or event.tag is not None:
        raise _RareError
    if kind is events.ScalarEvent:
        return _word(loader, event)
    if kind is events.SequenceStartEvent:
        found = []
        while type(event := loader.get_event()) is not events.SequenceEndEvent:
            found.append(_value(loader, event))
        return found
    mapping = {}
    while type(event := loader.get_event()) is not events.MappingEndEvent:
        key = _value(loader, event)
        if type(key) is not str:
            raise _RareError
        mapping[key] = _value(loader, loader.get_event())
    return mapping


def _word(loader: Any, event: Any) -> Any:
    text = event.value
    if not event.implicit[0]:  # quoted, or a block
        return text
    table = loader.yaml_implicit_resolvers
    for tag, pattern in (*table.get(text[:1], ()), *table.get(None, ())):
        if pattern.match(text):
            if tag.removeprefix(_PREFIX) not in _ORDINARY:
                raise _RareError
            return loader.yaml_constructors[tag](loader, yaml.ScalarNode(tag, text))
    return text
