"""Documents as typed resources: every kind's spec is a pydantic model that refuses what it does not know.

Owns metadata, durations, fields that a cluster alone obeys, and the wording of refusals. What a field means is said in
the module of its kind. Which document is of which model is for `mesh.manifests.reading`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Generic, TypeVar

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
    instead: ClassVar[Mapping[str, str]] = {}
    """What is to be done with a field that other versions of Istio have or had here, by its YAML name."""


class TopLevelSpec(Spec):
    """The fields of a kind that has no spec: they stand beside metadata, as a ConfigMap's data."""


S = TypeVar("S", bound=Spec)
S_co = TypeVar("S_co", bound=Spec, covariant=True)

_UNITS = {"h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000, "us": 1, "\u00b5s": 1, "\u03bcs": 1}
"""Microseconds of each unit of Go's durations."""
_DURATION = re.compile(r"([-+]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+|0)")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([a-z\u00b5\u03bc]+)")
_LONGEST = Fraction(2**63 - 1, 1000)
"""Microseconds that Go's durations hold."""


def _read_duration(value: object) -> Fraction:
    """Microseconds of a duration as Go writes it."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration such as 1.5s, 250ms, 5m or 1h is expected")
    parts = (Fraction(number) * _UNITS.get(unit, Fraction(1, 1000)) for number, unit in _PART.findall(match[2]))
    found = sum(parts, Fraction(0))
    if found > _LONGEST:
        raise ValueError("a duration of at most 292 years is expected")
    return -found if match[1] == "-" else found


def _duration(value: object) -> timedelta:
    micros = _read_duration(value)
    if micros < 1000:
        raise ValueError("a duration of at least 1ms is expected; leave it out for none")
    if micros % 1000:
        raise ValueError("a duration of whole milliseconds is expected")
    return timedelta(microseconds=int(micros))


def _duration_or_zero(value: object) -> timedelta:
    return timedelta(0) if 0 <= _read_duration(value) < 1000 else _duration(value)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A duration as Istio takes it: 1.5s, 250ms, 1m30s, 1h; whole milliseconds, and at least one."""
DurationOrZero = Annotated[timedelta, BeforeValidator(_duration_or_zero)]
"""The same where 0s is a value of its own; parts of the first millisecond are 0s, too."""


def _forget(_: object) -> None:
    return None


ClusterOnly = Annotated[Any, AfterValidator(_forget)]
"""A field that means something to a cluster alone (resources, strategy): accepted with any value, and not kept."""


_UNOBEYED = ("networking.istio.io/", "alpha.istio.io/", "ambient.istio.io/")
"""Annotations by which a Service's visibility, identities or routing change on a cluster. Those of sidecars themselves
(sidecar.istio.io, proxy.istio.io, prometheus.istio.io) mean something to a cluster alone, as ClusterOnly fields do."""


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
    for name in metadata.annotations:
        if name.startswith(_UNOBEYED):
            raise ManifestError(f"{where}: metadata.annotations[{name}]: is not obeyed here: remove it")
    if issubclass(model, TopLevelSpec):
        own = {name: value for name, value in fields.items() if name not in {"apiVersion", "kind", "metadata"}}
        return Resource(kind, metadata, _validate(model, own, where, ""), where)
    for name in fields.keys() - {"apiVersion", "kind", "metadata", "spec"}:
        raise ManifestError(f"{where}: {name}: is no field of {kind}: correct its spelling or remove it")
    spec = fields.get("spec")
    return Resource(kind, metadata, _validate(model, {} if spec is None else spec, where, "spec"), where)


def _validate(model: type[S], value: object, where: str, path: str) -> S:
    text = to_json(value, fallback=str)
    if b"null" in text:
        text = to_json(_drop_nulls(value), fallback=str)
    try:
        # As JSON, where a list is a tuple's only form, strictness is about the values alone.
        return model.model_validate_json(text)
    except ValidationError as error:
        # A misspelt field is often the one that is missing, too: its own name is what helps.
        first = min(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
        parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]]
        field = f"{path}{''.join(parts)}".removeprefix(".")
        raise ManifestError(f"{where}: {field}: {_reason(first, model)}") from error


def _drop_nulls(value: Any) -> Any:
    """The value without the fields that are null, which a cluster takes for absent; an entry of a list stays."""
    if isinstance(value, dict):
        return {name: _drop_nulls(field) for name, field in value.items() if field is not None}
    return [_drop_nulls(entry) for entry in value] if isinstance(value, list) else value


def _reason(error: Any, model: type[BaseModel]) -> str:
    match error["type"], error["input"]:
        case "extra_forbidden", _:
            return _advise(str(error["loc"][-1]), _model_at(model, error["loc"][:-1]))
        case "missing", _:
            return "is missing: add it"
        case "value_error", given:
            return f"{error['ctx']['error']}, not {given!r}"
        case "string_type", bool() | int() | float() as given:
            what = "number" if not isinstance(given, bool) else "bool, as which YAML reads yes, no, on, off"
            return f"a text is expected, not a {what}: put it in quotes"
        case _, given:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {given!r}"


def _advise(field: str, model: type[BaseModel]) -> str:
    """What to do with a field that the model does not know: its successor, what it may be a misspelling of, or none."""
    instead = model.instead.get(field) if issubclass(model, Spec) else None
    if instead is not None:
        return instead
    known = sorted(info.alias or name for name, info in model.model_fields.items())
    plain = {name.lower(): name for name in known}
    meant = plain.get(field.replace("_", "").lower())
    if meant is None:
        meant = next(iter(difflib.get_close_matches(field, known, 1, 0.8)), None)
    hint = f"did you mean {meant}? Known" if meant else "known"
    return f"is not translated, or no such field: correct its spelling or remove it; {hint} here: {', '.join(known)}"


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
