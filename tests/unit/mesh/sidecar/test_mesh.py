"""Look-ups of a mesh: an index finds what a look at everything would, and a pod costs no more among many others."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.local.declared import NAMESPACE
from mesh.sidecar.mesh import BySelector, selects
from mesh.sidecar.reading import load
from mesh.sidecar.translate import translate
from tests.bench.translation import proxies, texts

NAMESPACES = ("shop", "elsewhere")
LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"))
THINGS = st.lists(st.tuples(st.sampled_from(NAMESPACES), st.none() | LABELS), max_size=8)


@given(THINGS, LABELS, st.lists(st.sampled_from(NAMESPACES)))
def test_a_selector_is_found_by_labels_as_by_looking_at_all(
    things: list[tuple[str, dict[str, str] | None]], labels: dict[str, str], namespaces: list[str]
) -> None:
    """In the order given; one that asks for nothing takes all."""
    index = BySelector((namespace, wanted, number) for number, (namespace, wanted) in enumerate(things))
    assert index.find(namespaces, labels) == [
        number
        for number, (namespace, wanted) in enumerate(things)
        if namespace in namespaces and selects(wanted, labels)
    ]


def _calls(of: Callable[[], object]) -> int:
    """Python functions and built-in ones called: a measure of work that no busy machine changes."""
    count = 0

    def called(_frame: object, event: str, _: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        of()
    finally:
        sys.setprofile(before)
    return count


def _work(services: int, pod: str) -> tuple[float, int]:
    """That of reading a service of such a mesh, and of translating this pod, as the second one."""
    files = texts(services)
    mesh = load(files, namespace=NAMESPACE)
    pods = {proxy.workload.name: (proxy, addresses) for proxy, addresses in proxies(mesh)}
    translate(mesh, *pods["agent-0"])
    return (
        _calls(lambda: load(files, namespace=NAMESPACE)) / services,
        _calls(lambda: translate(mesh, *pods[pod])),
    )


def test_a_pod_costs_no_more_in_a_large_mesh() -> None:
    """Neither read nor translated: else 1,000 services take minutes, as they once did."""
    (read, translated), (read_more, translated_more) = _work(20, "agent-1"), _work(100, "agent-2")
    assert read_more == pytest.approx(read, rel=0.2)
    assert translated_more == pytest.approx(translated, rel=0.02)
