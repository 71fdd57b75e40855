"""Every case of tests/istiod/cases, one file each, both ways: our translator sends what istiod sends.

The numbers up to 45 are those of Istio's own tests that the cases are taken from; the first line says what is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.istiod.both_ways import compare
from tests.manifests.sources import BASE, ISTIO, NAMESPACE, SCENARIOS, SERVICES, texts, with_scenario

if TYPE_CHECKING:
    from mesh.istiod.generator import Istiod

CASES = sorted(Path(__file__).parent.glob("cases/*.yaml"))


@pytest.mark.parametrize("case", [pytest.param(path, id=path.stem) for path in CASES])
def test_a_case_is_translated_as_istiod_does(istiod: Istiod, case: Path) -> None:
    """For each pod of the case no field differs but by design."""
    found = compare(istiod, {case.name: case.read_text()})
    assert {pod: lines for pod, lines in found.items() if lines} == {}


@pytest.mark.parametrize("scenario", [None, *(folder.name for folder in SCENARIOS)])
def test_our_own_manifests_are_translated_as_istiod_does(istiod: Istiod, scenario: str | None) -> None:
    """k8s/base and istio as they are deployed, and with each scenario: no field of any pod differs but by design."""
    files = with_scenario(scenario) if scenario else texts(BASE, ISTIO / "base", SERVICES)
    found = compare(istiod, files, namespace=NAMESPACE)
    assert {pod: lines for pod, lines in found.items() if lines} == {}
