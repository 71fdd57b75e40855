"""The pages for people: their links lead somewhere, what they name is in the tree, and each folder has its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("mesh", "services", "protos", "k8s", "istio", "tests")
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(ROOT / folder / "README.md" for folder in FOLDERS),
    ROOT / ".github" / "CONTRIBUTING.md",
    *sorted((ROOT / ".github" / "decisions").glob("*.md")),
]
TOP = ("mesh/", "services/", "protos/", "k8s/", "istio/", "tests/", ".github/", "requirements/")


def names(text: str) -> list[str]:
    """The paths of the tree in backticks, without those that have a part to be filled in."""
    return [name for name in re.findall(r"`([^`\s]+)`", text) if name.startswith(TOP) and not set(name) & set("<>*{")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to the tree, and each path in backticks, is a file or folder."""
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in names(text) if not (ROOT / name).exists()]
    assert not missing, f"{page.relative_to(ROOT)}: no {', '.join(missing)}"


def test_decisions_are_numbered() -> None:
    """One after the other, each with its number as its title begins."""
    decisions = sorted((ROOT / ".github" / "decisions").glob("*.md"))
    for number, decision in enumerate(decisions, 1):
        assert decision.name.startswith(f"{number:04}-")
        assert decision.read_text("utf-8").startswith(f"# {number}. ")


def test_the_mesh_page_names_each_package() -> None:
    """mesh/README.md has a row for each package of mesh, and no other."""
    rows = re.findall(r"^\| `([a-z]+)` \|", (ROOT / "mesh" / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(path.parent.name for path in (ROOT / "mesh").glob("*/__init__.py"))


def test_the_tests_page_names_each_tier() -> None:
    """tests/README.md has a row for each folder of tests but what they share."""
    rows = re.findall(r"^\| `([a-z0-9]+)` \|", (ROOT / "tests" / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(
        path.parent.name for path in (ROOT / "tests").glob("*/__init__.py") if path.parent.name != "support"
    )
