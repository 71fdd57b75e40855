"""Envoy's messages have types: protos/stubs is current, and a field that Envoy has not fails before anything runs."""

from __future__ import annotations

import filecmp
from typing import TYPE_CHECKING

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from tests.support.buf import ROOT, generator

if TYPE_CHECKING:
    from pathlib import Path


def test_stubs_of_envoy_are_current(tmp_path: Path) -> None:
    """protos/stubs is, file by file, what `make protos` writes of the installed xds-protos for what we import."""
    generator("envoy_stubs").generate(tmp_path)
    committed = ROOT / "protos" / "stubs"

    def names(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*.pyi")}

    assert names(committed) == names(tmp_path), "run `make protos`"
    _, different, unreadable = filecmp.cmpfiles(committed, tmp_path, sorted(names(tmp_path)), shallow=False)
    assert (different, unreadable) == ([], []), "run `make protos`"


def test_a_misspelt_field_fails_in_mypy() -> None:
    """mypy refuses a name or type that the message has not: were it to pass one, the ignore beside it would be unused,
    which mypy reports as an error."""
    with pytest.raises(ValueError, match="conect_timeout"):
        cluster_pb2.Cluster(conect_timeout=None)  # type: ignore[call-arg]
    cluster = cluster_pb2.Cluster()
    with pytest.raises(AttributeError):
        cluster.alt_stat_nam = "x"  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        cluster.name = 1  # type: ignore[assignment]
    with pytest.raises(ValueError, match="eds_cluster"):
        cluster.HasField("eds_cluster")  # type: ignore[arg-type]
