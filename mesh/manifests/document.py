"""Documents as typed resources: every kind's spec is a pydantic model that refuses what it does not know.

Owns metadata, durations, fields that a cluster alone obeys, and the wording of refusals. What a field means is said in
the module of its kind. Which document is of which model is for `mesh.manifests.reading`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from mesh.manifests.errors import ManifestError


class Spec(BaseModel):
    """A mapping of a manifest. Fields are snake_case here, camelCase in YAML; a field that is not declared is refused.

    A field whose YAML name is no camelCase of ours (such as consecutive5xxErrors) declares an alias. A mapping that may
    be left out has `default_factory=dict`: pydantic copies a `{}` deeply for each one, a tenth of all reading.
    """

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True, frozen=True)


class TopLevelSpec(Spec):
    """The fields of a kind that has no spec: they stand beside metadata, as a ConfigMap's data."""


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


def _forget(_: object) -> None:
    return None


ClusterOnly = Annotated[Any, AfterValidator(_forget)]
"""A field that means something to a cluster alone (resources, strategy): accepted with any value, and not kept."""


class Metadata(Spec):
    """What is read of metadata. What only a server owns is dropped before (`mesh.manifests.server`)."""

    name: str
    namespace: str = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
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
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first, as istiod does: creation time, name, namespace. Without a time it is the oldest."""
        return self.metadata.creation_timestamp, self.name, self.namespace

    def refuse(self, path: str, what: str) -> ManifestError:
        """Returns the error that names this document and a field path below spec, such as "http[0].route"."""
        return ManifestError(f"{self.where}: spec{'.' + path if path else ''}: {what}")


def read_resource(fields: Mapping[str, Any], model: type[S], where: str) -> Resource[S]:
    """Reads the fields of a document as this model. Raises ManifestError."""
    kind = str(fields["kind"])
    metadata = _validate(Metadata, fields.get("metadata"), where, "metadata")
    if issubclass(model, TopLevelSpec):
        own = {name: value for name, value in fields.items() if name not in {"apiVersion", "kind", "metadata"}}
        return Resource(kind, metadata, _validate(model, own, where, ""), where)
    for name in fields.keys() - {"apiVersion", "kind", "metadata", "spec"}:
        raise ManifestError(f"{where}: {name}: is no field of {kind}: correct its spelling or remove it")
    return Resource(kind, metadata, _validate(model, fields.get("spec") or {}, where, "spec"), where)


def _validate(model: type[S], value: object, where: str, path: str) -> S:
    try:
        # As JSON, where a list is a tuple's only form, strictness is about the values alone.
        return model.model_validate_json(to_json(value, fallback=str))
    except ValidationError as error:
        # A misspelt field is often the one that is missing, too: its own name is what helps.
        first = min(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]]
        field = f"{path}{''.join(parts)}".removeprefix(".")
        raise ManifestError(f"{where}: {field}: {_reason(first, model)}") from error


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
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
