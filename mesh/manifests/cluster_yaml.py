"""YAML as a cluster reads it: the words of YAML 1.1, merge keys, a byte order mark; and YAML that it reads back.

Owns both libraries: ryaml, which reads YAML 1.2 ten times as fast, and PyYAML for the few texts in which a cluster's
reader sees more (`yes` is true, `0644` is octal, `<<` merges). What a document is, is for `mesh.manifests.texts`.
Source: go.yaml.in/yaml/v2 resolve.go and decode.go, which kubectl and istiod read with.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import re2
import ryaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import yaml

BYTE_ORDER_MARK = "\ufeff"
_WORDS = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_NEEDS_CLUSTER_READER = re2.compile(
    r"(?m)<<\s*:"
    r"|(?:^|[-:,\[{?])\s*(?:[yY]|[nN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)\s*(?:$|[,\]}:#])"
    r"|(?:[-:,]\s|[\[{])\s*[-+]?(?:0[0-9_bBxXoO]|[0-9]+_)"
    r"|(?:^|[-:,\[{\s])!"
)
"""What YAML 1.1 may read otherwise than 1.2, wherever it stands: once too often costs a slower reading, no more."""
_INTEGER = re.compile(r"([-+]?)(0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_PLAIN = "!plain"
_WIDTH = 2**31 - 1
"""Columns of a line that is written: no line is broken."""
_MERGE = "<<"


def load_documents(text: str) -> list[Any]:
    """The values of a text's documents, None for an empty one. Raises ValueError, with the line.

    A key that stands twice in a mapping is refused; most readers let the last one win, unsaid.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if _NEEDS_CLUSTER_READER.search(text) is None:
        return ryaml.loads_all(text) or []
    import yaml  # noqa: PLC0415 - most texts do not need it

    loader = _make_loader(text)
    try:
        found = []
        while loader.check_node():
            found.append(_read_node(loader.get_node(), ()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{where}{getattr(error, 'problem', None) or error}") from error
    else:
        return found
    finally:
        loader.dispose()


def dump_document(fields: Mapping[str, Any]) -> str:
    """The text of a mapping, which every reader of YAML takes for the same: what looks like a 1.1 word is quoted."""
    import yaml  # noqa: PLC0415 - needed by few commands

    class Dumper(yaml.CSafeDumper):
        """PyYAML's, with blocks for texts of several lines and quotes for the words that it does not know."""

        def ignore_aliases(self, data: object) -> bool:
            """Nothing is written as an alias: each mapping stands for itself."""
            return True

    def represent_text(dumper: Dumper, value: str) -> yaml.ScalarNode:
        is_block = "\n" in value.strip("\n") and value.isprintable() is False and " \n" not in value
        style = "|" if is_block else "'" if value == _MERGE or not isinstance(_resolve(value), str) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, represent_text)
    return yaml.dump(dict(fields), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _make_loader(text: str) -> yaml.CSafeLoader:
    import yaml  # noqa: PLC0415 - most texts do not need it

    class Loader(yaml.CSafeLoader):
        """PyYAML's, which leaves what a plain scalar is to us."""

        yaml_implicit_resolvers: dict[str | None, list[Any]] = {None: [(_PLAIN, re.compile(""))]}

    return Loader(text)


def _read_node(node: Any, above: tuple[int, ...]) -> Any:
    if id(node) in above:
        raise ValueError(f"line {node.start_mark.line + 1}: an alias stands within what it is an alias of")
    above = (*above, id(node))
    if node.id == "mapping":
        return dict(_read_mapping(node, above))
    if node.id == "sequence":
        return [_read_node(item, above) for item in node.value]
    if node.tag != _PLAIN:
        return _read_tagged(node)
    return _resolve(node.value)


def _read_mapping(node: Any, above: tuple[int, ...]) -> dict[Any, Any]:
    """Merges lie under what stands after them and over what stands before, as in Go's reader."""
    found: dict[Any, Any] = {}
    said = set()
    for key_node, value_node in node.value:
        if key_node.tag == _PLAIN and key_node.value == _MERGE:
            for merged in _list_merged(value_node, above):
                found.update(merged)
            continue
        key = _read_node(key_node, above)
        if isinstance(key, (dict, list)):
            raise ValueError(f"line {key_node.start_mark.line + 1}: a mapping or list is no key")
        if key in said:
            raise ValueError(f"line {key_node.start_mark.line + 1}: the key {key!r} stands twice in one mapping")
        said.add(key)
        found[key] = _read_node(value_node, above)
    return found


def _list_merged(node: Any, above: tuple[int, ...]) -> Iterator[dict[Any, Any]]:
    """The mappings to merge, those that win last."""
    for merged in reversed(node.value) if node.id == "sequence" else (node,):
        if merged.id != "mapping":
            raise ValueError(f"line {merged.start_mark.line + 1}: << merges a mapping, or a list of mappings")
        yield _read_mapping(merged, (*above, id(merged)))


def _read_tagged(node: Any) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind in {"str", "binary", "timestamp"}:
        return node.value
    value = _resolve(node.value)
    types: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
    if kind not in types or not isinstance(value, types[kind]):
        raise ValueError(f"line {node.start_mark.line + 1}: {node.value!r} is no {node.tag}")
    return value


def _resolve(plain: str) -> Any:
    """What a plain scalar is. Dates are texts."""
    if plain in _WORDS:
        return _WORDS[plain]
    digits = plain.replace("_", "")
    if not plain[0].isdigit() and plain[0] not in "+-.":
        return plain
    whole = _INTEGER.fullmatch(digits)
    if whole is not None:
        number = whole[2]
        base = 8 if number[:1] == "0" and number[1:].isdigit() else 0
        return int(number, base) * (-1 if whole[1] == "-" else 1)
    return float(digits) if _FLOAT.fullmatch(digits) else plain
