"""Every case of tests/istiod/cases, one file each, both ways: our translator sends what istiod sends.

The numbers up to 45 are those of Istio's own tests that the cases are taken from; the first line says what is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.istiod.both_ways import compared

if TYPE_CHECKING:
    from tests.support.istiod import Istiod

ROOT = Path(__file__).parents[2]
CASES = sorted(Path(__file__).parent.glob("cases/*.yaml"))


@pytest.mark.parametrize("case", [pytest.param(path, id=path.stem) for path in CASES])
def test_a_case_is_translated_as_istiod_does(istiod: Istiod, case: Path) -> None:
    """For each pod of the case no field differs but by design."""
    found = compared(istiod, {case.name: case.read_text()})
    assert {pod: lines for pod, lines in found.items() if lines} == {}


def test_our_own_manifests_are_translated_as_istiod_does(istiod: Istiod) -> None:
    """k8s/base and istio as they are deployed: no field of any pod differs but by design."""
    folders = [ROOT / "k8s" / "base", ROOT / "istio" / "base", ROOT / "istio" / "services"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.yaml"))]
    found = compared(istiod, {str(path.relative_to(ROOT)): path.read_text() for path in paths}, namespace="rostrum")
    assert {pod: lines for pod, lines in found.items() if lines} == {}
