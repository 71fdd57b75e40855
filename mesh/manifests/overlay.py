"""Changes to the manifests of a running mesh: what was applied or deleted since it was started, as a pure value.

Owns which document replaces which (by kind, namespace and name, as a cluster's API does) and what each change is
called. Whether the result can be obeyed is for `reading.load` and the proxies to say; `mesh.local` keeps it on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import ryaml

from mesh.manifests.document import RawDocument, documents
from mesh.manifests.errors import ManifestError

DEPLOYMENT = "Deployment"
"""The one kind beside Istio's that may be applied: a further version of a workload."""
APPLIED = "applied"
"""Where a resource in force comes from, if not from a file of the manifests."""


@dataclass(frozen=True, order=True)
class Key:
    """What a document is known by."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Action(Enum):
    """What a change did to a resource."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """What became of one resource. `before` and `after` are YAML, empty where there is none."""

    key: Key
    action: Action
    before: str
    after: str


@dataclass(frozen=True)
class InForce:
    """A resource in force: its YAML, and the file it comes from (APPLIED for what was applied)."""

    key: Key
    source: str
    text: str


@dataclass(frozen=True)
class Document:
    """What was applied, and from which file, for messages."""

    file: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Overlay:
    """What differs from the files: documents that replace or join theirs, and keys that are taken out."""

    applied: Mapping[Key, Document] = field(default_factory=dict)
    deleted: frozenset[Key] = frozenset()

    def texts(self, files: Mapping[str, str], namespace: str) -> dict[str, str]:
        """Returns the YAML texts in force: the files' own, less what is replaced or deleted, and what was applied."""
        gone = self.deleted | self.applied.keys()
        found: dict[str, list[str]] = {}
        for raw in documents(files, namespace):
            if _key(raw) not in gone:
                found.setdefault(_file(raw), []).append(_text(raw.fields))
        for _, each in sorted(self.applied.items(), key=lambda item: item[0]):
            found.setdefault(each.file, []).append(_text(each.fields))
        return {name: "---\n".join(parts) for name, parts in found.items()}

    def with_applied(
        self, files: Mapping[str, str], asked: Mapping[str, str], namespace: str
    ) -> tuple[Overlay, list[Change]]:
        """Returns the overlay with these documents in force, and what that changes. Raises ManifestError."""
        current = {each.key: each for each in self.in_force(files, namespace)}
        applied, changes = dict(self.applied), []
        for raw in _appliable(asked, namespace):
            key, after = _key(raw), _text(raw.fields)
            before = current[key].text if key in current else ""
            action = Action.CREATED if not before else Action.UNCHANGED if before == after else Action.CONFIGURED
            changes.append(Change(key, action, before, after))
            if action is not Action.UNCHANGED:
                applied[key] = Document(_file(raw), raw.fields)
        return replace(self, applied=applied, deleted=self.deleted - applied.keys()), changes

    def with_deleted(
        self, files: Mapping[str, str], asked: Mapping[str, str], namespace: str
    ) -> tuple[Overlay, list[Change]]:
        """Returns the overlay without the documents that these name, and what that changes. Raises ManifestError."""
        current = {each.key: each for each in self.in_force(files, namespace)}
        keys: dict[Key, str] = {}
        for raw in _appliable(asked, namespace):
            if _key(raw) not in current:
                raise ManifestError(f"{raw.where}: is not in force: `rostrum get {raw.kind}` lists what is")
            keys[_key(raw)] = current[_key(raw)].text
        applied = {key: each for key, each in self.applied.items() if key not in keys}
        changes = [Change(key, Action.DELETED, before, "") for key, before in keys.items()]
        return replace(self, applied=applied, deleted=self.deleted | keys.keys()), changes

    def in_force(self, files: Mapping[str, str], namespace: str) -> Sequence[InForce]:
        """Returns Istio's resources as they are, by kind, namespace and name."""
        gone = self.deleted | self.applied.keys()
        own = [
            InForce(_key(raw), _file(raw), _text(raw.fields))
            for raw in documents(files, namespace)
            if is_istio(raw) and _key(raw) not in gone
        ]
        more = [InForce(key, APPLIED, _text(each.fields)) for key, each in self.applied.items()]
        return sorted([*own, *more], key=lambda each: each.key)

    @property
    def deployments(self) -> Mapping[str, Mapping[str, Any]]:
        """The Deployments that were applied, by name."""
        return {key.name: each.fields for key, each in self.applied.items() if key.kind == DEPLOYMENT}

    def with_deployments_of(self, other: Overlay) -> Overlay:
        """Returns this one with the other's Deployments besides, which are to run before calls are sent to them."""
        more = {key: each for key, each in other.applied.items() if key.kind == DEPLOYMENT}
        return replace(self, applied={**self.applied, **more})

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON data; `from_dict` reads it back."""
        keys = [[key.kind, key.namespace, key.name] for key in sorted(self.deleted)]
        applied = [{"file": each.file, "fields": dict(each.fields)} for each in self.applied.values()]
        return {"applied": applied, "deleted": keys}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Overlay:
        """Reads what `as_dict` wrote."""
        applied = {_key_of(each["fields"]): Document(each["file"], each["fields"]) for each in data["applied"]}
        return cls(applied, frozenset(Key(*each) for each in data["deleted"]))


def is_istio(raw: RawDocument) -> bool:
    """Whether a document is of one of Istio's API groups."""
    return raw.api_version.partition("/")[0].endswith(".istio.io")


def _appliable(files: Mapping[str, str], namespace: str) -> Iterable[RawDocument]:
    seen: dict[Key, str] = {}
    for raw in documents(files, namespace):
        if raw.api_version.startswith("kustomize."):
            continue
        if not is_istio(raw) and raw.kind != DEPLOYMENT:
            what = f"{raw.api_version} {raw.kind} is neither of Istio's kinds nor a Deployment"
            raise ManifestError(f"{raw.where}: {what}: put it into the manifests' folder and start Rostrum anew")
        if _key(raw) in seen:
            raise ManifestError(f"{raw.where}: is declared already in {seen[_key(raw)]}: remove one of the two")
        seen[_key(raw)] = raw.where
        yield raw


def _key(raw: RawDocument) -> Key:
    return _key_of(raw.fields)


def _key_of(fields: Mapping[str, Any]) -> Key:
    metadata = fields["metadata"]
    return Key(str(fields["kind"]), str(metadata["namespace"]), str(metadata.get("name", "")))


def _file(raw: RawDocument) -> str:
    return raw.where.rpartition(" document ")[0]


def _text(fields: Mapping[str, Any]) -> str:
    return ryaml.dumps(dict(fields))
