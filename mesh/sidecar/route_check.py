"""What a VirtualService may not say: references to what does not exist, values out of range, fields that fight.

Called by `mesh.sidecar.virtual_service.check`. Source: istio/istio pkg/config/validation/validation.go, and what Envoy
refuses or istiod passes over in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.sidecar.document import Resource
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.virtual_service import VirtualServiceSpec


def check_virtual_service(mesh: Mesh, resource: Resource[VirtualServiceSpec]) -> None:
    """Raises ManifestError."""
