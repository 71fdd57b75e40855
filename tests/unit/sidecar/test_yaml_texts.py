"""Texts are read as PyYAML reads them, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mesh.sidecar import yaml_texts

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = sorted(
    path for folder in ("k8s", "istio", "tests/istiod/cases") for path in (ROOT / folder).rglob("*.yaml")
)
PLAIN = "~ null yes No on 1 0x1f 0o7 010 1_000 1.5 -.inf .nan 1e3 12:30:45 2026-11-25 a 'b' << = * - [ %".split()
OTHERS = ["", '"yes"', "a b", "|\n  1\n", ">\n  a\n", "2026-11-25 10:00:00", "a: b: c", "\t", "{a: 1}", "[1, b]"]
RARE = ["&x 1", "*x", "!!str 1", "!mine 1", "{1: a}", "{? [a] : b}"]
WORDS = st.sampled_from([*PLAIN, *OTHERS, *RARE])


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_manifest_is_read_as_pyyaml_does(path: Path) -> None:
    """All that are shipped."""
    text = path.read_text("utf-8")
    assert yaml_texts.values(text) == list(yaml.load_all(text, Loader=yaml_texts.LOADER))


@given(
    st.lists(st.lists(st.tuples(st.sampled_from(["a", "b", "1", "<<", "'c'", "&x d"]), WORDS), max_size=3), max_size=3)
)
def test_every_word_means_what_it_does_to_pyyaml(documents: list[list[tuple[str, str]]]) -> None:
    """Of any type, quoted or not, with anchors, tags and merges; and what PyYAML refuses is refused."""
    text = "---\n".join("".join(f"{key}: {word}\n" for key, word in document) for document in documents)
    try:
        expected = list(yaml.load_all(text, Loader=yaml_texts.LOADER))
    except (yaml.YAMLError, ValueError) as error:
        with pytest.raises(yaml.YAMLError if isinstance(error, yaml.YAMLError) else ValueError):
            yaml_texts.values(text)
    else:
        assert repr(yaml_texts.values(text)) == repr(expected)
