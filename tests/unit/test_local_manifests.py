"""Manifests that cannot be run are refused by file, document and field."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mesh.local.errors import ManifestError
from mesh.local.manifests import read

BASE = Path(__file__).resolve().parents[2] / "k8s" / "base"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("replicas: 1", "replicas: 1\n  paused: true", "paused"),
        ("replicas: 1", "replicas: many", "spec.replicas"),
        ("kind: Service\n", "kind: Ingress\n", "v1 Ingress"),
        ("serviceAccountName: team-a", "serviceAccountName: nobody", "nobody"),
        ("grpc: {port: 50051}", "tcpSocket: {port: 50051}", "startupProbe"),
        ('          command: ["python", "-m", "services.debater"]\n', "", "command"),
    ],
)
def test_unknown_is_refused(tmp_path: Path, old: str, new: str, field: str) -> None:
    """What the runner does not understand is an error that names it, never ignored."""
    folder = tmp_path / "base"
    shutil.copytree(BASE, folder)
    path = folder / "team-a.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ManifestError, match=field):
        read(folder)


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    """A file that is no YAML is named with its line."""
    (tmp_path / "x.yaml").write_text("a: 1\nb: [\n", "utf-8")
    with pytest.raises(ManifestError, match=r"x\.yaml line 3"):
        read(tmp_path)


def test_no_manifests(tmp_path: Path) -> None:
    """A folder without manifests is refused with what to do."""
    with pytest.raises(ManifestError, match="give the folder"):
        read(tmp_path / "nowhere")
