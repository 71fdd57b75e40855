"""Changes to the manifests of a running mesh: what was applied or deleted since it was started, as a pure value.

Owns which document replaces which (by kind, namespace and name, as a cluster's API does), what each change is called,
and how old a resource is: what is applied gets a creationTimestamp and keeps it until it is deleted; what the files
hold has none, and is older. One that an applied document says is some other server's, and counts for nothing. It takes
documents and gives documents: a text is parsed once, by whoever asks for the change. Whether the result can be obeyed
is for `read_documents`, the translator and the proxies to say; `mesh.local` keeps it on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from mesh.manifests.texts import Document, Key

DEPLOYMENT = "Deployment"
"""The one kind beside Istio's that may be applied: a further version of a workload."""
APPLIED = "applied"
"""Where an active resource comes from, if not from a file of the manifests."""


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
class ActiveResource:
    """A resource that is active: its YAML, and the file it comes from (APPLIED for what was applied).

    `created`: when it was applied first, in RFC 3339; empty for what is as old as the files.
    """

    key: Key
    source: str
    text: str
    created: str = ""


@dataclass(frozen=True)
class Overlay:
    """What differs from the files: documents that replace or join theirs, and keys that are taken out.

    `files` are the documents of the files in each method; none has a creationTimestamp.
    """

    applied: Mapping[Key, Document] = field(default_factory=dict)
    deleted: frozenset[Key] = frozenset()

    def documents(self, files: Iterable[Document]) -> list[Document]:
        """Returns the active documents: the files' own, less what is replaced or deleted, and what was applied."""
        return [*self._kept(files), *self.applied.values()]

    def texts(self, files: Iterable[Document]) -> dict[str, str]:
        """Returns the active documents as YAML, by file."""
        texts: dict[str, list[str]] = {}
        for document in self.documents(files):
            texts.setdefault(document.file, []).append(document.text)
        return {file: "---\n".join(parts) for file, parts in texts.items()}

    def with_applied(
        self, files: Iterable[Document], asked: Iterable[Document], now: str
    ) -> tuple[Overlay, list[Change]]:
        """Returns the overlay with these documents active, and what that changes. Raises ManifestError.

        `now`: the time in RFC 3339 with whole seconds and a Z, the age of what is not active yet.
        """
        # A clock that was set back makes nothing older than what is there.
        created = max([now, *(document.created for document in self.applied.values())])
        current = {document.key: document for document in self.documents(files) if self._may_be_applied(document)}
        applied, changes = dict(self.applied), []
        for asked_for in _appliable(asked):
            old = current.get(asked_for.key)
            document = asked_for.with_creation(created if old is None else old.created)
            before = "" if old is None else old.text
            after = document.text
            action = Action.CREATED if not before else Action.UNCHANGED if before == after else Action.CONFIGURED
            changes.append(Change(document.key, action, before, after))
            if action is not Action.UNCHANGED:
                applied[document.key] = document
        return replace(self, applied=applied, deleted=self.deleted - applied.keys()), changes

    def with_deleted(self, files: Iterable[Document], asked: Iterable[Document]) -> tuple[Overlay, list[Change]]:
        """Returns the overlay without the documents that these name, and what that changes. Raises ManifestError."""
        current = {document.key: document for document in self.documents(files) if self._may_be_applied(document)}
        gone: dict[Key, str] = {}
        for document in _appliable(asked):
            if document.key not in current:
                raise document.refuse(f"is not active: `rostrum get {document.kind}` lists what is")
            gone[document.key] = current[document.key].text
        applied = {key: document for key, document in self.applied.items() if key not in gone}
        changes = [Change(key, Action.DELETED, before, "") for key, before in gone.items()]
        return replace(self, applied=applied, deleted=self.deleted | gone.keys()), changes

    def active(self, files: Iterable[Document]) -> Sequence[ActiveResource]:
        """Returns Istio's resources as they are, and what was applied, by kind, namespace and name."""
        own = [ActiveResource(kept.key, kept.file, kept.text) for kept in self._kept(files) if is_istio(kept)]
        more = [ActiveResource(key, APPLIED, document.text, document.created) for key, document in self.applied.items()]
        return sorted([*own, *more], key=lambda resource: resource.key)

    def _kept(self, files: Iterable[Document]) -> Iterator[Document]:
        return (file for file in files if file.key not in self.deleted and file.key not in self.applied)

    def _may_be_applied(self, document: Document) -> bool:
        """Whether an active document can be replaced or deleted: a Deployment of the files is none that can."""
        return is_istio(document) or document.key in self.applied

    @property
    def deployments(self) -> Mapping[str, Document]:
        """The Deployments that were applied, by name."""
        return {key.name: document for key, document in self.applied.items() if key.kind == DEPLOYMENT}

    def with_deployments_of(self, other: Overlay) -> Overlay:
        """Returns this one with the other's Deployments besides, which are to run before calls are sent to them."""
        more = {key: document for key, document in other.applied.items() if key.kind == DEPLOYMENT}
        return replace(self, applied={**self.applied, **more})

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON data; `from_dict` reads it back."""
        keys = [[key.kind, key.namespace, key.name] for key in sorted(self.deleted)]
        applied = [
            {"file": document.file, "where": document.where, "fields": dict(document.fields)}
            for document in self.applied.values()
        ]
        return {"applied": applied, "deleted": keys}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Overlay:
        """Reads what `as_dict` wrote."""
        # One that an older version wrote does not say where it stood.
        documents = [
            Document(applied["file"], applied["fields"], applied.get("where", applied["file"]))
            for applied in data["applied"]
        ]
        keys = frozenset(Key(*key) for key in data["deleted"])
        return cls({document.key: document for document in documents}, keys)


def is_istio(document: Document) -> bool:
    """Whether a document is of one of Istio's API groups."""
    return document.group.endswith(".istio.io")


def _appliable(asked: Iterable[Document]) -> Iterator[Document]:
    """Those asked for, if each can be applied and is there once. Raises ManifestError."""
    seen: dict[Key, str] = {}
    for document in asked:
        if not is_istio(document) and document.kind != DEPLOYMENT:
            what = f"{document.api_version} {document.kind} is neither of Istio's kinds nor a Deployment"
            raise document.refuse(f"{what}: put it into the manifests' folder and start Rostrum again")
        if document.key in seen:
            raise document.refuse(f"is declared already in {seen[document.key]}: remove one of the two")
        seen[document.key] = document.where
        yield document
