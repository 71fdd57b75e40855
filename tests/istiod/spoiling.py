"""Resources of the grammar with one value spoiled: what a person or a program gets wrong, and what only looks wrong.

Used by tests/istiod/test_generated.py. Whether the result is good is istiod's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from mesh.manifests.texts import dump_text
from tests.istiod import grammar

_NETWORKING, _SECURITY = "networking.istio.io/v1", "security.istio.io/v1"
_SPECS: dict[str, tuple[str, grammar.SpecStrategy]] = {
    "VirtualService": (_NETWORKING, grammar.virtual_services("backend", subsets=False)),
    "DestinationRule": (_NETWORKING, grammar.destination_rules("backend")),
    "ServiceEntry": (_NETWORKING, grammar.service_entries()),
    "Sidecar": (_NETWORKING, grammar.sidecars("client")),
    "Gateway": (_NETWORKING, st.just(grammar.GATEWAY)),
    "PeerAuthentication": (_SECURITY, grammar.peer_authentications("web")),
    "AuthorizationPolicy": (_SECURITY, grammar.authorization_policies("web")),
    "RequestAuthentication": (_SECURITY, grammar.request_authentications("web")),
}
_TIMES = ["0s", "1.0005s", "500us", "1d", "-1s", "1h30m", ".5s", "1"]
_EXPRESSIONS = ["(?!a)", "a{1,1001}", "a++", r"a\Z", r"\C", "(?P=n)", "(", "*", "a" * 1025, r"\pL", "(?<n>a)"]
_NAMES = ["a_b", "A-b", "-a", "*", "*.a", "*a", "a..b", "a.", "1.2.3.4", "10.0.0.0/33", "shop/a.b", "~", "", "x" * 64]
_ODD: list[Any] = [True, False, None, 0, -1, 1, 1.5, 70000, 2**31, 2**32, "8080", "0x10", [], {}, [None], "yes"]
_ANY = st.sampled_from([*_TIMES, *_EXPRESSIONS, *_NAMES, *_ODD])


_TIMED = ("Timeout", "timeout", "fixedDelay", "interval", "Time", "Duration")
_MATCHERS = {"exact", "prefix", "regex"}


def _list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all fields and entries."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from _list_places(inner, (*path, key))


def _replace(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _replace(value[path[0]], path[1:], new)
    return copy


def _repeat(value: Any, place: tuple[Any, ...]) -> Any:
    """The same with an entry twice in its list."""
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    return _replace(value, place[:-1], [*inner, inner[place[-1]]])


@st.composite
def spoiled_documents(draw: st.DrawFn) -> str:
    """A document of which one field or entry has another value, or stands twice in its list."""
    kind = draw(st.sampled_from(sorted(_SPECS)))
    api_version, specs = _SPECS[kind]
    spec = draw(specs)
    places = list(_list_places(spec))
    sorts = {
        "expression": [place[:-1] for place in places if place[-1] in _MATCHERS],
        "time": [place for place in places if str(place[-1]).endswith(_TIMED)],
        "twice": [place for place in places if isinstance(place[-1], int)],
        "any": places,
    }
    sort = draw(st.sampled_from([name for name, found in sorts.items() if found]))
    place = draw(st.sampled_from(sorts[sort]))
    match sort:
        case "expression":
            spec = _replace(spec, place, {"regex": draw(st.sampled_from(_EXPRESSIONS))})
        case "time":
            spec = _replace(spec, place, draw(st.sampled_from(_TIMES)))
        case "twice":
            spec = _repeat(spec, place)
        case _:
            spec = _replace(spec, place, draw(_ANY))
    metadata = {"name": "row", "namespace": "shop"}
    return dump_text({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
