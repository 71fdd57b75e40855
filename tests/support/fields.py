"""Every field that a kind's model accepts, and what becomes of a mesh if one of them is changed.

Owns the walk over the models and the changes of a value: taken out, or another one of its type. Knows no field by name
but those whose values refer to something. Used by the tests that hold the translator to its schema, and by those that
ask istiod the same.
"""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from mesh.manifests.istio.kinds import KINDS

Document = dict[str, Any]
Location = tuple[str | int, ...]
"""Keys and indices that lead from a document to a value."""


@dataclass(frozen=True)
class Field:
    """A field of a model: its path, such as "VirtualService.http[].route[].weight", and the type of its values."""

    path: str
    type: Any

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, if they are counted."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()


def list_fields(kind: str) -> list[Field]:
    """Every field of a kind's spec, those within others behind them."""
    model = next(model for (_, name), model in KINDS.items() if name == kind)
    return list(_walk(model, kind))


def _walk(model: type[BaseModel], path: str) -> Iterator[Field]:
    for name, field in model.model_fields.items():
        found, suffix = _innermost(field.annotation)
        here = f"{path}.{field.alias or name}{suffix}"
        yield Field(here, found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            yield from _walk(found, here)


def _innermost(annotation: Any) -> tuple[Any, str]:
    """The type of the values, and how deep they are in lists ("[]") and mappings ("{}")."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Annotated:
            return _innermost(arguments[0])
        case origin if origin in (Union, types.UnionType):
            some = [argument for argument in arguments if argument is not type(None)]
            return _innermost(some[0]) if len(some) == 1 else (annotation, "")
        case origin if origin is tuple:
            found, suffix = _innermost(arguments[0])
            return found, f"[]{suffix}"
        case origin if origin is dict:
            found, suffix = _innermost(arguments[1])
            return found, f"{{}}{suffix}"
    return annotation, ""


def find(document: Document, field: Field) -> list[Location]:
    """Where a document has the field."""
    parts = re.findall(r"[^.\[\]{}]+|\[\]|\{\}", field.path)[1:]
    found: list[Location] = [("spec",)]
    for part in parts:
        found = [longer for location in found for longer in _lead_on(value_at(document, location), location, part)]
    return found


def _lead_on(value: Any, location: Location, part: str) -> Iterator[Location]:
    match value:
        case list() if part == "[]":
            yield from ((*location, number) for number in range(len(value)))
        case dict() if part == "{}":
            yield from ((*location, key) for key in value)
        case dict() if part in value:
            yield (*location, part)


def value_at(document: Document, location: Location) -> Any:
    """The value that is there."""
    value: Any = document
    for key in location:
        value = value[key]
    return value


REFERENCES: Mapping[str, tuple[str | int, ...]] = {
    "host": ("web", "backend", "entry.example.com"),
    "hosts[]": ("web", "*.example", "other.example.com", "elsewhere/*", "./web.shop.svc.cluster.local"),
    "gateways[]": ("mesh", "other"),
    "exportTo[]": (".", "elsewhere"),
    "subset": ("v2",),
    "matchLabels{}": ("web", "gate"),
    "labels{}": ("web", "client", "v2"),
    "selector{}": ("web",),
    "sourceNamespace": ("elsewhere",),
    "number": (8080, 8081, 50051, 9090),
    "portLevelMtls{}": (),
    "jwksUri": ("http://127.0.0.1:1/other",),
    "address": ("127.8.0.9",),
    "ports[]": ("8080",),
    "key": ("source.namespace", "destination.port"),
    "grpcStatus": ("ABORTED",),
    "retryOn": ("reset",),
    "tableSize": (65537,),
    "ipBlocks[]": ("10.9.0.0/16",),
    "notIpBlocks[]": ("10.9.0.0/16",),
    "remoteIpBlocks[]": ("10.9.0.0/16",),
    "notRemoteIpBlocks[]": ("10.9.0.0/16",),
    "serviceAccounts[]": ("shop/other",),
    "notServiceAccounts[]": ("shop/other",),
    "requestPrincipals[]": ("issuer/other",),
    "notRequestPrincipals[]": ("issuer/other",),
    "jwks": ('{"keys":[{"kty":"oct","kid":"other","k":"c2VjcmV0"}]}',),
    "expression": ("response.code >= 400",),
    "redirectCode": (302,),
    "status": (404,),
    "httpStatus": (500,),
}
"""Other values of fields whose values refer to something, or have a form of their own; by the path's last part."""


def list_changes(document: Document, field: Field, location: Location) -> Iterator[tuple[str, Document]]:
    """The document without the value, and with others in its place; each with what was done."""
    taken = copy.deepcopy(document)
    within = value_at(taken, location[:-1])
    del within[location[-1]]
    yield "taken out", taken
    for other in _list_others(field, value_at(document, location)):
        changed = copy.deepcopy(document)
        value_at(changed, location[:-1])[location[-1]] = other
        yield f"= {other!r}", changed
    if isinstance(location[-1], str) and field.path.endswith("{}"):
        renamed = copy.deepcopy(document)
        within = value_at(renamed, location[:-1])
        within[f"{location[-1]}x"] = within.pop(location[-1])
        yield "renamed", renamed


def _list_others(field: Field, value: Any) -> Iterator[Any]:
    if field.choices:
        yield from (choice for choice in field.choices if choice != value)
        return
    last = re.split(r"\.", field.path)[-1]
    yield from (other for other in REFERENCES.get(last, ()) if other != value)
    if field.type is timedelta:
        yield "77s"
        return
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
            yield value / 2 if isinstance(value, float) else value + 1000
        case str():
            yield f"{value}x"


def find_samples(documents: Iterable[Document]) -> Mapping[str, Any]:
    """One value of each field that some document has, lists and mappings whole, by the path of its `whole`."""
    found: dict[str, Any] = {}
    for document in documents:
        for field in map(_whole, list_fields(document["kind"])):
            for location in find(document, field):
                found.setdefault(field.path, value_at(document, location))
    return found


def list_additions(document: Document, samples: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """The document with one field more, wherever one of its mappings lacks one; with the field and its siblings."""
    for field in map(_whole, list_fields(document["kind"])):
        parent, _, name = field.path.rpartition(".")
        parents = [("spec",)] if parent == document["kind"] else find(document, Field(parent, None))
        for location in parents:
            siblings = value_at(document, location)
            if name in siblings or field.path not in samples:
                continue
            added = copy.deepcopy(document)
            value_at(added, location)[name] = copy.deepcopy(samples[field.path])
            scalars = {key: value if isinstance(value, str | int | float) else "..." for key, value in siblings.items()}
            # One model stands at several paths, such as that of a port and of a subset: each is tried once.
            yield f"{re.sub(_POLICIES, 'trafficPolicy', field.path)} beside {scalars}", added


_POLICIES = r"(subsets\[\]\.)?trafficPolicy(\.portLevelSettings\[\])?"


def _whole(field: Field) -> Field:
    """The field with all of its values, if it is a list or a mapping."""
    return Field(re.sub(r"(\[\]|\{\})+$", "", field.path), field.type)
