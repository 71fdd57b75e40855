"""Meshes that nobody wrote, both ways: our translator sends what istiod sends, whatever is combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

from tests.istiod.both_ways import compare
from tests.istiod.grammar import meshes
from tests.istiod.spoiling import spoiled_documents
from tests.istiod.test_admission import find_refusal, is_taken

if TYPE_CHECKING:
    from mesh.istiod.generator import Istiod


@pytest.mark.timeout(600, func_only=True)
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(text=meshes())
def test_a_generated_mesh_is_translated_as_istiod_does(istiod: Istiod, text: str) -> None:
    """No field of any pod differs but by design. A failure shrinks to the smallest mesh that shows it, some minutes."""
    hypothesis.note(text)
    found = compare(istiod, {"mesh.yaml": text})
    assert {pod: lines for pod, lines in found.items() if lines} == {}


@pytest.mark.timeout(600, func_only=True)
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(text=spoiled_documents())
def test_what_we_take_a_cluster_takes(istiod: Istiod, text: str) -> None:
    """A resource with one value spoiled is refused wherever its schema or istiod refuses it."""
    hypothesis.note(text)
    if not find_refusal(text):
        review = istiod.review({"row.yaml": text})["row.yaml"]
        assert is_taken(review), review
