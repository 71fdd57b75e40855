"""Meshes that nobody wrote, both ways: our translator sends what istiod sends, whatever is combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

from tests.istiod.both_ways import compare
from tests.istiod.grammar import meshes

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
