"""YAML texts to documents and back.

Owns which files belong to a folder, where a document ends, and what a reader may call it; lists are taken apart, what
is kustomize's is passed over, what only a cluster's server owns is dropped. YAML itself is for
`mesh.manifests.cluster_yaml`, what a document says for `mesh.manifests.reading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mesh.manifests.cluster_yaml import dump_document, load_documents
from mesh.manifests.errors import ManifestError
from mesh.manifests.server import drop_server_fields


@dataclass(frozen=True, order=True)
class Key:
    """What a document is known by."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Document:
    """One document of a file. `where` names file, document, kind and name for messages."""

    file: str
    fields: Mapping[str, Any]
    where: str

    @property
    def api_version(self) -> str:
        """apiVersion."""
        return str(self.fields["apiVersion"])

    @property
    def group(self) -> str:
        """The API group, such as networking.istio.io; that of v1 is empty."""
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """kind."""
        return str(self.fields["kind"])

    @cached_property
    def key(self) -> Key:
        """Kind, namespace and name."""
        metadata = self.fields["metadata"]
        return Key(self.kind, str(metadata["namespace"]), str(metadata.get("name", "")))

    @property
    def created(self) -> str:
        """metadata.creationTimestamp; empty if it says none."""
        return str(self.fields["metadata"].get("creationTimestamp", ""))

    def with_creation(self, created: str) -> Document:
        """Returns it with this creationTimestamp in the place of its own; with none if it is empty."""
        if created == self.created:
            return self
        metadata = {name: value for name, value in self.fields["metadata"].items() if name != "creationTimestamp"}
        own = {"creationTimestamp": created} if created else {}
        return replace(self, fields={**self.fields, "metadata": {**metadata, **own}})

    def refuse(self, what: str) -> ManifestError:
        """Returns the error that names this document."""
        return ManifestError(f"{self.where}: {what}")

    @cached_property
    def text(self) -> str:
        """The document as YAML."""
        return dump_text(self.fields)


def read_folders(*folders: Path) -> dict[str, str]:
    """The text of every .yaml file below these folders, by its path. Raises ManifestError, also for an empty folder."""
    texts: dict[str, str] = {}
    for folder in folders:
        files = sorted(folder.rglob("*.yaml")) if folder.is_dir() else []
        if not files:
            raise ManifestError(f"There are no manifests in {folder}: give the folder that holds k8s/ and istio/.")
        for file in files:
            try:
                texts[str(file)] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ManifestError(f"{file}: cannot be read: {error}") from error
    return texts


def parse_documents(texts: Mapping[str, str], namespace: str) -> Iterator[Document]:
    """Yields every document of these files (name -> YAML text), by file name, lists taken apart.

    One without a namespace gets `namespace`. Raises ManifestError.
    """
    for file in sorted(texts):
        for number, value in enumerate(parse_text(texts[file], file), start=1):
            if value is not None:
                yield from _documents(value, file, f"{file} document {number}", namespace)


def parse_text(text: str, file: str) -> list[Any]:
    """The values of a YAML text; None for an empty document. Raises ManifestError, which names the file and the line.

    As on a cluster, a key that stands twice in a mapping is refused; most readers let the last one win, unsaid.
    """
    try:
        return load_documents(text)
    except ValueError as error:
        raise ManifestError(f"{file}: cannot be read as YAML: {error}: correct it there") from error


def dump_text(fields: Mapping[str, Any]) -> str:
    """The YAML text of a mapping; `parse_text` reads it back."""
    return dump_document(fields)


def dump_texts(documents: Iterable[Mapping[str, Any]]) -> str:
    """The YAML text of several documents; `parse_text` reads it back."""
    return "---\n".join(map(dump_text, documents))


def _documents(value: object, file: str, where: str, namespace: str) -> Iterator[Document]:
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: a mapping with apiVersion and kind is expected")
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        raise ManifestError(f"{where}: apiVersion or kind is missing")
    if kind.endswith("List") and "items" in value:
        for number, item in enumerate(value["items"] or [], start=1):
            yield from _documents(item, file, f"{where} item {number}", namespace)
        return
    if api_version.startswith("kustomize."):
        return
    fields = drop_server_fields(value)
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict):
        raise ManifestError(f"{where} ({kind}): metadata: is missing: add it with a name")
    fields["metadata"] = {**metadata, "namespace": metadata.get("namespace") or namespace}
    yield Document(file, fields, f"{where} ({kind} {metadata.get('name', 'without a name')})")
