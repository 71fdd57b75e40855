"""YAML as a cluster reads it, whatever reader takes it; and what is written is read back by every reader."""

from __future__ import annotations

import re
from typing import Any

import pytest
import ryaml

from mesh.manifests import cluster_yaml
from mesh.manifests.cluster_yaml import dump_document, load_documents

WORDS = ("y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "around", ["a: {}", "a: {} # said", "- {}", "a: [x, {}]", "a: {{b: {}}}", "a:   {}\r\nb: 1", "? {}"]
)
def test_words_of_yaml_1_1_are_bools(word: str, around: str) -> None:
    """Wherever they stand without quotes; in quotes they are texts."""
    expected = word[0].lower() == "y" or word.lower() == "on"
    (found,) = load_documents(around.format(word))
    assert str(expected) in str(found)
    (quoted,) = load_documents(around.format(f"'{word}'"))
    assert str(expected) not in str(quoted)
    assert word in str(quoted)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0644", 420), ("0o644", 420), ("0x1F", 31), ("0b101", 5), ("-0b11", -3), ("1_000", 1000), ("08", 8.0),
        ("+5", 5),
        ("1e3", 1000.0), (".5", 0.5), ("0", 0), ("12:30:00", "12:30:00"), ("2025-01-01", "2025-01-01"), ("~", None),
        ("2025-03-04T05:06:07Z", "2025-03-04T05:06:07Z"), ("!!str 5", "5"), ("!!int '5'", 5), ("1.2.3.4", "1.2.3.4"),
        ("yesterday", "yesterday"), ("note", "note"), ("on-call", "on-call"), ("no way", "no way"), ("y/n", "y/n"),
    ],
)  # fmt: skip
def test_scalars(text: str, value: Any) -> None:
    """As Go's reader resolves them; dates and times are texts."""
    (found,) = load_documents(f"a: {text}\n")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}", {"p": 3, "q": 2}),
        ("a: &x {p: 1, q: 2}\nb: {p: 3, <<: *x}", {"p": 1, "q": 2}),
        ("a: &x {p: 1}\nb: {<<: [*x, {p: 2, q: 2}]}", {"p": 1, "q": 2}),
        ("a: &x {p: 1}\nb: &y {<<: *x}\nc: {<<: *y}", {"p": 1}),
    ],
)
def test_merges(text: str, value: Any) -> None:
    """A merge lies over what stands before it and under what stands behind, as in Go's reader; a list's first wins."""
    (found,) = load_documents(text)
    assert found["b"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: yes\na: no", "line 2: the key 'a' stands twice"),
        ("a: &x [*x]\nb: yes", "line 1: an alias stands within what it is an alias of"),
        ("a: {<<: 5}", "line 1: << merges a mapping"),
        ("a: !thing x", "line 1: 'x' is no !thing"),
        ("a: yes\nb: [", "line 3: "),
        ("{a: yes}: b", "a mapping or list is no key"),
    ],
)
def test_a_text_that_is_refused(text: str, message: str) -> None:
    """One line, which says where."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        load_documents(text)
    assert message in str(error.value)


def test_a_byte_order_mark_is_read_over() -> None:
    """As editors on Windows write it."""
    assert load_documents("\ufeffa: 1\n") == [{"a": 1}]


ODD = [
    *WORDS, "", "~", "null", "0644", "0o17", "0x1F", "1_000", "08", "1e3", "2025-01-01", "12:30:00", "<<", "=", "-",
    "a: b", "# a", " a", "a ", "'", '"', "x\ny\n", "l1\n l2 \nl3", "\ttab", "ü", "\u00a0", "\U0001f600", "[a]", "{a}",
    "*a", "&a", "!a", "%a", "@a", "`a", "true", ".inf", "\x7f", "\u2028",
]  # fmt: skip


def test_what_is_written_is_read_back_by_every_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts stay texts, as values and as keys; the fast reader and the slow one agree."""
    value: dict[str, Any] = {"texts": ODD, "keys": dict.fromkeys(ODD, 1), "others": [None, True, 1, 1.5, {}, []]}
    text = dump_document(value)
    assert ryaml.loads_all(text) == [value]
    for mark in (cluster_yaml._NEEDS_CLUSTER_READER.pattern, ""):
        monkeypatch.setattr(cluster_yaml, "_NEEDS_CLUSTER_READER", re.compile(mark))
        assert load_documents(text) == [value]
    assert "&" not in dump_document({"a": None, "b": None, "c": ODD[:1], "d": ODD[:1]})
