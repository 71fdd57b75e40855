"""No field is accepted without effect: each that a model knows changes some pod's configuration, or is listed here.

The fields come from the models. The documents of `fields/` have each of them at least once; what is changed is one
value of one document, and what is looked at is all that is translated for all pods of a small mesh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mesh.manifests import ManifestError, parse_documents, read_documents
from mesh.manifests.istio.kinds import KINDS
from mesh.manifests.texts import Document, parse_text
from mesh.sidecar.gateways import is_gateway
from mesh.sidecar.hosts import all_ports
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.proxy import Addresses, Endpoint, Proxy
from mesh.sidecar.reading import assemble
from mesh.sidecar.translate import translate
from tests.support import fields

FOLDER = Path(__file__).parent / "fields"
CARRIERS = sorted(FOLDER.glob("*.yaml"))
_METRICS = "the standard metrics are always on; a Telemetry may name them, and nothing else can be said"
pytestmark = pytest.mark.timeout(900)  # some thousand translations
WITHOUT_EFFECT: Mapping[str, str] = {
    "ServiceEntry.ports[].name": "a name that endpoints refer to: another is another only together with theirs",
    "Telemetry.metrics[]": _METRICS,
    "Telemetry.metrics[].providers[]": _METRICS,
    "Telemetry.metrics[].providers[].name": _METRICS,
}
"""Fields that istiod passes over too, or whose every value means the same, and why."""
_BOUND = "what a patch applies to, where it goes and what it does are bound to each other"
_ALONE = "no other value can stand beside the rest of what is said; the mapping around it has an effect"
_CHECKED = "whoever checks names whose certificates are good, and whoever does not must not"
BOUND: Mapping[str, str] = {
    "DestinationRule.trafficPolicy.loadBalancer.consistentHash.useSourceIp": _ALONE,
    "DestinationRule.trafficPolicy.portLevelSettings[].loadBalancer.consistentHash.useSourceIp": _ALONE,
    "DestinationRule.subsets[].trafficPolicy.loadBalancer.consistentHash.useSourceIp": _ALONE,
    "DestinationRule.subsets[].trafficPolicy.portLevelSettings[].loadBalancer.consistentHash.useSourceIp": _ALONE,
    "DestinationRule.trafficPolicy.tls.insecureSkipVerify": _CHECKED,
    "DestinationRule.trafficPolicy.portLevelSettings[].tls.insecureSkipVerify": _CHECKED,
    "DestinationRule.subsets[].trafficPolicy.tls.insecureSkipVerify": _CHECKED,
    "DestinationRule.subsets[].trafficPolicy.portLevelSettings[].tls.insecureSkipVerify": _CHECKED,
    "EnvoyFilter.configPatches[].applyTo": _BOUND,
    "EnvoyFilter.configPatches[].patch.operation": _BOUND,
    "Telemetry.tracing[].providers[].name": "the one collector's name: every other is refused",
    "Telemetry.tracing[].providers[]": "left out, the one collector is the default",
    "Telemetry.accessLogging[].providers[]": "a filter needs it",
    "Telemetry.accessLogging[].providers[].name": "envoy: every other is refused",
}
"""Fields of which each other value may be refused where they stand, and why."""
REFUSED: Mapping[str, Any] = {"AuthorizationPolicy.provider": {"name": "authorizer"}}
"""Fields that a model knows only to refuse them by name, and a value."""
SAME_AS_ANOTHER: Mapping[tuple[str, str], str] = {
    ("Gateway.servers[].port.protocol", "HTTP2"): "a gateway takes HTTP/1 and HTTP/2 at every port of HTTP",
    ("Gateway.servers[].port.protocol", "GRPC"): "a gateway takes HTTP/1 and HTTP/2 at every port of HTTP",
    ("ServiceEntry.resolution", "NONE"): "that of a document without the field",
}
"""Choices that mean what another of the same field means."""
SETTINGS = MeshSettings(
    jwks={"http://127.0.0.1:1/keys": '{"keys":[]}'}, otlp_collector=("client.shop.svc.cluster.local", 50051)
)


def _service(name: str, namespace: str = "shop", port: int = 50051) -> str:
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: grpc, port: {port}, targetPort: 50051}}, {{name: http, port: 8080}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
"""


def _workload(name: str, version: str = "v1", namespace: str = "shop") -> str:
    ports = "[{name: grpc, containerPort: 50051}, {name: http, containerPort: 8080}]"
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}-{version}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}, version: {version}}}}}
  template:
    metadata: {{labels: {{app: {name}, version: {version}}}}}
    spec:
      serviceAccountName: {name}
      containers: [{{name: app, image: app, ports: {ports}}}]
"""


MESH = "---".join(
    [
        *(_service(name) for name in ("backend", "web", "client")),
        _service("gate", port=80),
        _service("far", "elsewhere"),
        *(_workload(name) for name in ("backend", "web", "client", "gate")),
        _workload("backend", "v2"),
        _workload("far", namespace="elsewhere"),
    ]
)
BASE = list(parse_documents({"mesh.yaml": MESH}, "shop"))


def _load(documents: list[fields.Document]) -> Mesh:
    own = [Document("case.yaml", {**document}, f"case.yaml document {i}") for i, document in enumerate(documents, 1)]
    return assemble(read_documents([*BASE, *own]), SETTINGS)


def _translate(mesh: Mesh) -> Iterator[tuple[str, bytes]]:
    """What each pod is given, one after the other: most changes show in the first that is asked for."""
    addresses = Addresses(
        {key: (f"127.1.0.{number}",) for number, key in enumerate(sorted(mesh.workloads), 1)},
        {host: f"127.10.0.{number}" for number, host in enumerate(sorted(mesh.services), 1)},
    )
    for name in ("backend-v1", "client-v1", "gate-v1", "web-v1", "backend-v2", "far-v1"):
        workload = next(found for found in mesh.workloads.values() if found.name == name)
        proxy = Proxy(
            workload,
            addresses.pods[workload.key][0],
            {port: Endpoint(path=f"app/{port}") for port in workload.ports.values()},
            {port: Endpoint(path=f"out/{port}") for port in sorted(all_ports(mesh))},
            is_gateway=is_gateway(mesh, workload),
        )
        found = translate(mesh, proxy, addresses)
        messages = [*found.listeners, *found.clusters, *found.routes, *found.endpoints]
        yield name, b"".join(message.SerializeToString(deterministic=True) for message in messages)


def _is_changed(before: Mapping[str, bytes], documents: list[fields.Document]) -> bool | None:
    """Whether any pod is given something else; None if the documents are refused."""
    try:
        return any(before[name] != given for name, given in _translate(_load(documents)))
    except ManifestError:
        return None


class _Effects:
    """What was seen of each field, over all documents."""

    def __init__(self) -> None:
        self.seen: dict[str, set[bool | None]] = {}
        self.choices: dict[tuple[str, str], set[bool | None]] = {}
        self.said: set[tuple[str, str]] = set()
        """Choices that stand in the documents themselves."""

    def has_effect(self, path: str) -> bool:
        return any(True in seen for below, seen in self.seen.items() if below == path or below.startswith(f"{path}."))

    def look_at(self, documents: list[fields.Document], kinds: Mapping[str, list[fields.Field]]) -> None:
        before = dict(_translate(_load(documents)))
        for number, document in enumerate(documents):
            for field in reversed(kinds[document["kind"]]):  # a mapping has an effect if something within it has
                for location in fields.find(document, field):
                    seen = self.seen.setdefault(field.path, set())
                    if field.choices:
                        self.said.add((field.path, fields.value_at(document, location)))
                    for what, changed in fields.list_changes(document, field, location):
                        if not field.choices and self.has_effect(field.path):
                            break
                        others = [changed if i == number else other for i, other in enumerate(documents)]
                        effect = _is_changed(before, others)
                        seen.add(effect)
                        if field.choices and what.startswith("= "):
                            self.choices.setdefault((field.path, what[3:-1]), set()).add(effect)


@pytest.fixture(scope="module")
def effects() -> _Effects:
    found = _Effects()
    kinds = {kind: fields.list_fields(kind) for _, kind in KINDS}
    for path in CARRIERS:
        found.look_at(parse_text(path.read_text(), path.name), kinds)
    return found


def _all_fields() -> list[fields.Field]:
    return [field for _, kind in KINDS for field in fields.list_fields(kind)]


def test_each_field_is_said_somewhere(effects: _Effects) -> None:
    """A field that is added to a model is added to a document of `fields/` too, or to those that are refused."""
    assert [field.path for field in _all_fields() if field.path not in {*effects.seen, *REFUSED}] == []


def test_each_field_has_an_effect(effects: _Effects) -> None:
    """Taken out or changed, it or something within it changes what some pod is given; or it is listed with a reason."""
    by_choice = {field.path for field in _all_fields() if len(field.choices) == 1}
    listed = {*WITHOUT_EFFECT, *BOUND, *by_choice}
    assert [path for path in effects.seen if not effects.has_effect(path) and path not in listed] == []


def test_each_choice_has_an_effect(effects: _Effects) -> None:
    """Each value of an enumeration means something else than that of a document, is that of one, or is refused."""
    idle = [choice for choice, seen in effects.choices.items() if False in seen and True not in seen]
    assert [choice for choice in idle if choice not in {*SAME_AS_ANOTHER, *effects.said}] == []


def test_nothing_is_listed_that_has_an_effect(effects: _Effects) -> None:
    """The lists shrink as more is translated."""
    assert [path for path in WITHOUT_EFFECT if True in effects.seen[path]] == []
    assert [choice for choice in SAME_AS_ANOTHER if True in effects.choices[choice]] == []


IDLE = (
    "exportTo beside",  # everybody, said or not
    "ServiceEntry.location beside",  # outside, said or not
    "ServiceEntry.subjectAltNames beside",  # for a DestinationRule with TLS
    "VirtualService.http[].match[].gateways beside",  # the mesh, said or not
    "VirtualService.http[].match[].sourceLabels beside {'uri': '...', 'gateways'",  # istiod looks at gateways alone
    "VirtualService.http[].match[].sourceNamespace beside",  # the same; and that of the pods that are looked at
    "VirtualService.http[].route[].weight beside",  # of the only destination
    "Gateway.servers[].name beside",  # of a server without TLS
    "Telemetry.metrics",  # see above
)
"""Additions that change nothing, and why: parts of what is said of each."""


def test_a_field_more_has_an_effect_beside_what_is_said() -> None:
    """Wherever a mapping lacks a field, one more changes what some pod is given, or is refused beside the others."""
    found: dict[str, set[bool | None]] = {}
    carriers = [parse_text(path.read_text(), path.name) for path in CARRIERS]
    samples = fields.find_samples(document for documents in carriers for document in documents)
    for documents in carriers:
        before = dict(_translate(_load(documents)))
        for number, document in enumerate(documents):
            for what, added in fields.list_additions(document, samples):
                if True not in found.setdefault(what, set()):
                    others = [added if i == number else other for i, other in enumerate(documents)]
                    found[what].add(_is_changed(before, others))
    idle = [what for what, seen in found.items() if False in seen and True not in seen]
    assert [what for what in idle if not any(part in what for part in IDLE)] == []


@pytest.mark.parametrize("path", REFUSED)
def test_what_is_known_to_be_refused_is_refused_by_name(path: str) -> None:
    """With the field's name in the message."""
    kind, _, name = path.partition(".")
    group = next(group for group, known in KINDS if known == kind)
    document = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "case", "namespace": "shop"}}
    with pytest.raises(ManifestError, match=rf"case.yaml document 1: spec.{name}: "):
        _load([{**document, "spec": {name: REFUSED[path]}}])
