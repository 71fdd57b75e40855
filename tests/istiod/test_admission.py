"""What is taken and what is refused: a cluster's admission (Istio's schemas and rules, istiod's validation) and ours.

A file of admission/ is a template and rows, each of which stands at ROW in turn; " ;; " begins a new line there. No row
says whether it is good: that is istiod's to say. The rows behind "refused here on purpose" istiod takes; README.md of
mesh/sidecar says which kinds of these there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.manifests import ManifestError
from mesh.manifests.texts import dump_texts
from mesh.sidecar.reading import load
from tests.istiod.grammar import FIXED

if TYPE_CHECKING:
    from mesh.istiod.generator import Istiod, Review

FOLDER = Path(__file__).parent / "admission"
_ON_PURPOSE = "=== refused here on purpose"
_NUMBER_AS_TEXT = re.compile(r'must be of type (?:integer|number): "string"')
"""The API server's schema refuses what istiod's reader takes; we read as istiod does."""
BASE = dump_texts(FIXED)


def _list_rows(file: Path) -> Iterator[tuple[str, str, bool]]:
    """Name, text, and whether we refuse it on purpose."""
    template, rows = file.read_text("utf-8").split("=== rows\n")
    column = next(line.index("ROW") for line in template.splitlines() if "ROW" in line)
    taken, _, refused = rows.partition(f"{_ON_PURPOSE}\n")
    for text, on_purpose in ((taken, False), (refused, True)):
        for row in text.split("\n")[:-1]:
            lines = row.replace(" ;; ", "\n" + " " * column)
            yield f"{file.stem}: {row}", template.replace("ROW", lines), on_purpose


ROWS = {
    name: (text, on_purpose) for file in sorted(FOLDER.glob("*.txt")) for name, text, on_purpose in _list_rows(file)
}


@pytest.fixture(scope="module")
def reviews(istiod: Istiod) -> Mapping[str, Review]:
    """What a cluster says of each row."""
    return istiod.review({name: text for name, (text, _) in ROWS.items()})


def find_refusal(text: str) -> str:
    """How we refuse a document beside the grammar's services; empty if we take it."""
    try:
        load({"base.yaml": BASE, "row.yaml": text}, namespace="shop")
    except ManifestError as error:
        return str(error)
    return ""


def is_taken(review: Review) -> bool:
    """Whether a cluster takes it, numbers as text aside."""
    return not review.webhook and (not review.schema or _NUMBER_AS_TEXT.search(review.schema) is not None)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_a_manifest_is_taken_where_a_cluster_takes_it(file: Path, reviews: Mapping[str, Review]) -> None:
    """Neither stricter nor looser, but for what is refused on purpose; a list of the rows in which we differ."""
    wrong = []
    for name, text, on_purpose in _list_rows(file):
        refusal, review = find_refusal(text), reviews[name]
        if on_purpose and not is_taken(review):
            wrong.append(f"{name}\n  is refused by istiod too, so it is no difference: {review}")
        if bool(refusal) != (on_purpose or not is_taken(review)):
            wrong.append(f"{name}\n  ours: {refusal or 'taken'}\n  istiod: {review}")
    assert "\n".join(wrong) == ""


def test_every_row_is_reviewed_once() -> None:
    """There are hundreds, and no row stands twice in a file."""
    assert len(ROWS) == sum(1 for file in FOLDER.glob("*.txt") for _ in _list_rows(file)) > 800


def test_a_bom_is_read_over(istiod: Istiod) -> None:
    """As editors on Windows write it before the first line."""
    text = "\ufeff" + next(text for name, (text, _) in ROWS.items() if name.startswith("document: apiVersion"))
    assert istiod.review({"bom.yaml": text})["bom.yaml"].is_taken
    assert find_refusal(text) == ""
