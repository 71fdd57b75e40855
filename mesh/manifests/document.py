"""YAML documents as typed resources: every kind's spec is a pydantic model that refuses what it does not know.

Owns the reading of texts, metadata, durations, and the wording of refusals. What a field means is said in the module of
its kind. Called by `mesh.sidecar.reading.load` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

import ryaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from mesh.manifests.errors import ManifestError


class Spec(BaseModel):
    """A mapping of a manifest. Fields are snake_case here, camelCase in YAML; a field that is not declared is refused.

    A field whose YAML name is no camelCase of ours (such as consecutive5xxErrors) declares an alias.
    """

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True, frozen=True)


S = TypeVar("S", bound=Spec)
S_co = TypeVar("S_co", bound=Spec, covariant=True)

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _duration(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("a duration such as 1.5s, 250ms, 5m or 1h is expected")
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, milliseconds=millis)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A duration as Istio writes it: 1.5s, 250ms, 5m, 1h, and several of these in that order."""


class Metadata(Spec):
    """What the translator reads of metadata."""

    name: str
    namespace: str = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""


@dataclass(frozen=True)
class Resource(Generic[S_co]):
    """One document of a known kind. `where` names file, document, kind and name for messages."""

    kind: str
    metadata: Metadata
    spec: S_co
    where: str

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """metadata.namespace."""
        return self.metadata.namespace

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the oldest first, as istiod does: creation time, then name.namespace."""
        return self.metadata.creation_timestamp, f"{self.name}.{self.namespace}"

    def refuse(self, path: str, what: str) -> ManifestError:
        """Returns the error that names this document and a field path below spec, such as "http[0].route"."""
        return ManifestError(f"{self.where}: spec{'.' + path if path else ''}: {what}")


@dataclass(frozen=True)
class RawDocument:
    """A document before its kind is looked at."""

    api_version: str
    kind: str
    fields: Mapping[str, Any]
    where: str


def documents(texts: Mapping[str, str], namespace: str) -> Iterator[RawDocument]:
    """Yields every document of these files (name -> YAML text), by file name, lists taken apart.

    One without a namespace gets `namespace`. Raises ManifestError.
    """
    for file in sorted(texts):
        for number, each in enumerate(yaml_values(texts[file], file), start=1):
            if each is not None:
                yield from _documents(each, f"{file} document {number}", namespace)


def yaml_values(text: str, file: str) -> list[Any]:
    """The documents of a YAML text; None for an empty one. Raises ManifestError, which names the file and the line.

    As on a cluster, a key that stands twice in a mapping is refused; most readers let the last one win, unsaid.
    """
    try:
        return ryaml.loads_all(text) or []
    except ValueError as error:
        raise ManifestError(f"{file}: cannot be read as YAML: {error}: correct it there") from error


def _documents(value: object, where: str, namespace: str) -> Iterator[RawDocument]:
    if not isinstance(value, dict):
        raise ManifestError(f"{where}: a mapping with apiVersion and kind is expected")
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        raise ManifestError(f"{where}: apiVersion or kind is missing")
    if kind == "List":
        for number, each in enumerate(value.get("items") or [], start=1):
            yield from _documents(each, f"{where} item {number}", namespace)
        return
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        if api_version.startswith("kustomize."):
            return
        raise ManifestError(f"{where} ({kind}): metadata: is missing: add it with a name")
    fields = {**value, "metadata": {"namespace": namespace, **metadata}}
    yield RawDocument(api_version, kind, fields, f"{where} ({kind} {metadata.get('name', 'without a name')})")


def resource(raw: RawDocument, model: type[S]) -> Resource[S]:
    """Reads a document whose fields are apiVersion, kind, metadata, spec. Raises ManifestError."""
    for name in raw.fields.keys() - {"apiVersion", "kind", "metadata", "spec", "status"}:
        raise ManifestError(f"{raw.where}: {name}: is no field of {raw.kind}: correct its spelling or remove it")
    metadata = validated(Metadata, raw.fields.get("metadata"), raw.where, "metadata")
    return Resource(raw.kind, metadata, validated(model, raw.fields.get("spec") or {}, raw.where, "spec"), raw.where)


def validated(model: type[S], value: object, where: str, path: str) -> S:
    """Reads a mapping as this model. Raises ManifestError with the field's path and what to do."""
    try:
        # As JSON, where a list is a tuple's only form, strictness is about the values alone.
        return model.model_validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        # A misspelt field is often the one that is missing, too: its own name is what helps.
        first = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]]
        raise ManifestError(f"{where}: {path}{''.join(parts)}: {_reason(first, model)}") from error


def _reason(error: Any, model: type[BaseModel]) -> str:
    match error["type"]:
        case "extra_forbidden":
            fields = _model_at(model, error["loc"][:-1]).model_fields
            known = ", ".join(sorted(field.alias or name for name, field in fields.items()))
            return f"is not translated, or no such field: correct its spelling or remove it; known here: {known}"
        case "missing":
            return "is missing: add it"
        case "value_error":
            return f"{error['ctx']['error']}, not {error['input']!r}"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {error['input']!r}"


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of the mapping that a location within `model` leads to."""
    for part in loc:
        if isinstance(part, int):
            continue
        for name, field in model.model_fields.items():
            if part in {name, field.alias}:
                model = next(_models(field.annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in getattr(annotation, "__args__", ()):
        yield from _models(each)
