"""What is declared: the manifests of a home with what was applied to them, read and checked as one value.

Owns which files are read (k8s/base, istio/base, istio/services) and what a request to change them means. It knows no
pod: what is declared can be read, compared and refused while nothing runs. Called by mesh.local.system.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rostrum.local.v1 import runner_pb2

from mesh.clock import Clock
from mesh.local import manifests
from mesh.local.authorities import find_system_authorities
from mesh.local.manifests import Manifests
from mesh.manifests import Document, ManifestError, names, parse_documents, read_documents, read_folders
from mesh.manifests.istio.kinds import KINDS
from mesh.manifests.overlay import DEPLOYMENT, Action, ActiveResource, Change, Overlay, is_istio
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.reading import assemble

NAMESPACE = "rostrum"
"""As the kustomizations of istio/ and k8s/ set it."""


@dataclass(frozen=True, eq=False)
class DeclaredResources:
    """Everything that is active: the mesh as the translator has it, and the Deployments as processes are made of them.

    `overlay` is what was applied to the files. Two are the same only if they are one: reading again makes another.
    """

    overlay: Overlay
    mesh: Mesh
    manifests: Manifests

    def spiffe_id(self, deployment: str) -> str:
        """Who the pods of this Deployment are."""
        account = self.mesh.workloads[NAMESPACE, deployment].service_account
        return names.spiffe_id(NAMESPACE, account, self.mesh.settings.trust_domain)


class ManifestFolder:
    """The documents of a home: what they declare by themselves, and with an overlay on them. It reads them once."""

    def __init__(self, root: Path, jwks: Mapping[str, str], clock: Clock) -> None:
        """`root` holds k8s/base and istio/; `jwks` are key sets by their jwksUri, as they are when it is read.

        Raises ManifestError.
        """
        self._files, self._jwks, self._clock = read_files(root), jwks, clock
        self.base = manifests.manifests_of(read_documents(file for file in self._files if not is_istio(file)))

    def read(self, overlay: Overlay) -> DeclaredResources:
        """What is declared with this overlay. Raises ManifestError."""
        for name, deployment in overlay.deployments.items():
            if name in self.base.deployments:
                raise deployment.refuse("runs here already: give it another name, or change its file and start again")
        resources = read_documents(overlay.documents(self._files))
        # A copy: what is declared does not change when keys are fetched, it is read again.
        mesh = assemble(resources, MeshSettings(jwks=dict(self._jwks), system_ca_file=find_system_authorities()))
        return DeclaredResources(overlay, mesh, manifests.manifests_of(resources))

    def texts(self, overlay: Overlay) -> dict[str, str]:
        """The active documents as YAML, by file."""
        return overlay.texts(self._files)

    def change(self, overlay: Overlay, request: runner_pb2.ChangeResourcesRequest) -> tuple[Overlay, list[Change]]:
        """The overlay that a request asks for in the place of this one, and what it changes. Raises ManifestError."""
        asked = parse_documents({file.name: file.text for file in request.files}, NAMESPACE)
        if request.delete:
            found, changes = overlay.with_deleted(self._files, asked)
        else:
            found, changes = overlay.with_applied(self._files, asked, _write_time(self._clock.now_us()))
        for made in changes:
            if made.key.kind == DEPLOYMENT and made.action is Action.CONFIGURED:
                raise ManifestError(f"{made.key} runs as it was applied: delete it first.")
        return found, changes

    def list_resources(self, overlay: Overlay, kind: str) -> list[ActiveResource]:
        """Istio's resources, by kind, namespace and name; of one kind, in any case, one or many, or all if it is empty.

        Raises ManifestError if there is no such kind.
        """
        kinds = {name for _, name in KINDS if kind.lower() in {"", *_spellings(name)}}
        if not kinds:
            raise ManifestError(f"There is no kind {kind!r}: there are {', '.join(name for _, name in KINDS)}.")
        return [found for found in overlay.active(self._files) if found.key.kind in kinds]


def read_files(root: Path) -> list[Document]:
    """The mesh's documents below the root folder of k8s/base and istio/. Raises ManifestError.

    None has an age: they are older than anything that is applied.
    """
    texts = read_folders(root / "k8s" / "base", root / "istio" / "base", root / "istio" / "services")
    return [document.with_creation("") for document in parse_documents(texts, NAMESPACE)]


def read_mesh(documents: Iterable[Document], jwks: Mapping[str, str]) -> Mesh:
    """The mesh of these documents; `jwks` are key sets by their jwksUri. Raises ManifestError."""
    return assemble(read_documents(documents), MeshSettings(jwks=jwks, system_ca_file=find_system_authorities()))


def _write_time(microseconds: int) -> str:
    """A time as a cluster writes its creationTimestamps: in whole seconds."""
    return dt.datetime.fromtimestamp(microseconds // 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _spellings(kind: str) -> set[str]:
    one = kind.lower()
    return {one, f"{one}s", f"{one[:-1]}ies"} if one.endswith("y") else {one, f"{one}s"}
