"""The table of mesh/sidecar/README.md is true: each row's module and cases exist, and no case is without a row."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "mesh" / "sidecar" / "README.md"
CASES = ROOT / "tests" / "istiod" / "cases"


def _rows() -> list[list[str]]:
    """The cells of each row below "row by row": Istio, Envoy, module, cases."""
    table = README.read_text("utf-8").split("## Istio to Envoy, row by row")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_each_row_names_a_module_and_a_case() -> None:
    """A row has four cells, one module and at least one case, none of them empty."""
    for row in _rows():
        assert len(row) == 4, row
        assert all(row), row
        assert len(_names(row[2])) == 1, row
        assert _names(row[3]), row


def test_each_module_and_case_of_a_row_exists() -> None:
    """Modules are below mesh/sidecar; a case is a file of tests/istiod/cases, or one of tests by its path."""
    for _, _, module, cases in _rows():
        assert [name for name in _names(module) if not (README.parent / name).is_file()] == []
        for name in _names(cases):
            path = ROOT / "tests" / name if name.endswith(".py") else CASES / f"{name}.yaml"
            assert path.is_file(), name


def test_each_case_has_a_row() -> None:
    """A case that is added is named in the row of what it shows, or in a new row."""
    named = {name for row in _rows() for name in _names(row[3])}
    assert sorted(path.stem for path in CASES.glob("*.yaml") if path.stem not in named) == []


def test_each_module_of_a_subject_has_a_row() -> None:
    """Of the packages by subject, each module that makes something of a field of Istio's is in the table."""
    named = {name for row in _rows() for name in _names(row[2])}
    helping = {"checks", "targets", "outbound", "scopes", "tls", "__init__"}
    modules = [path.relative_to(README.parent) for path in README.parent.glob("*/*.py")]
    assert sorted(str(path) for path in modules if str(path) not in named and path.stem not in helping) == []
