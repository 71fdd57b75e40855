"""tests/unit mirrors the code: a test file lies in the folder of the package that it tests.

The rule: below tests/unit a folder has the path of a package (`mesh/bus`, `services/moderator/logic`), and each test
file in it imports from that package, itself or by its folder's conftest.py or a module of tests that it imports. A part
of a package (`mesh/sidecar/security`) may be tested through the package (`mesh.sidecar`) too.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"


@cache
def imports(path: Path) -> frozenset[str]:
    """The dotted names that a file imports, and those that its imports from tests import."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    supports = [ROOT / f"{name.rpartition('.')[0].replace('.', '/')}.py" for name in found if name.startswith("tests.")]
    return frozenset(found).union(*(imports(support) for support in supports if support.is_file() and support != path))


def misplacement(path: Path) -> str | None:
    """What is wrong with the place of this test file; None if nothing is."""
    folder, shown = path.parent.relative_to(UNIT), path.relative_to(ROOT)
    if not (ROOT / folder / "__init__.py").is_file():
        return f"{shown}: there is no package {folder}; move it to the folder of the package that it tests"
    conftest = path.with_name("conftest.py")
    imported = imports(path) | (imports(conftest) if conftest.is_file() else frozenset())
    tested = folder.parts[:2]
    if not any(name.startswith(f"{'.'.join(tested)}.") for name in imported):
        ours = sorted(name for name in imported if name.startswith(("mesh.", "services.")))
        return f"{shown}: imports nothing of {'.'.join(tested)}; move it to where one of these is: {', '.join(ours)}"
    return None


def test_unit_tests_lie_where_their_code_does() -> None:
    """Each file that does not is named, with what would be its place."""
    found = [misplacement(path) for path in sorted(UNIT.rglob("test_*.py"))]
    lines = [line for line in found if line]
    assert not lines, "\n".join(lines)
