"""The documents that have every field of every kind, both ways: we make of each field what istiod makes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.istiod.both_ways import compare
from tests.unit.mesh.sidecar.test_every_field import CARRIERS, MESH, SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from mesh.istiod.generator import Istiod

COLLECTOR = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - name: otel
      opentelemetry: {service: client.shop.svc.cluster.local, port: 50051}
    defaultProviders: {tracing: [otel]}
"""
FILES = re.compile(r"\.commonTlsContext\.(combinedValidationContext|validationContext|tlsCertificate\w*)[.:\[]")
"""Certificates of a rule's own: istiod's agent serves their files as secrets, here Envoy reads them; and istiod lets a
name be of any kind, where ours says which."""


@pytest.mark.parametrize("carrier", [pytest.param(path, id=path.stem) for path in CARRIERS])
def test_every_field_is_translated_as_istiod_does(istiod: Istiod, carrier: Path) -> None:
    """No field of any pod differs but by design."""
    files = {"mesh.yaml": MESH, carrier.name: carrier.read_text()}
    if carrier.stem == "telemetry":
        files["collector.yaml"] = COLLECTOR
    found = compare(istiod, files, jwks=SETTINGS.jwks)
    differing = {pod: [line for line in lines if not FILES.search(line)] for pod, lines in found.items()}
    assert {pod: lines for pod, lines in differing.items() if lines} == {}
