"""What the tests of manifests look at: the files of k8s/base and istio, and the contracts they are held to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pb2
from rostrum.agent.v1 import agent_service_pb2
from rostrum.debate.v1 import debate_service_pb2

from mesh.local import manifests as local_manifests
from mesh.manifests import read, read_folders
from mesh.manifests.kubernetes import ServiceSpec, service_of
from mesh.manifests.texts import dump_texts, parse_text
from tests.support.edges import Edge, edges

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "k8s" / "base"
ISTIO = ROOT / "istio"
SERVICES = ISTIO / "services"
SCENARIOS = sorted(path for path in (ISTIO / "scenarios").iterdir() if path.is_dir())
NAMESPACE = "rostrum"

MANIFESTS = local_manifests.read(BASE)
HOSTS = {service.name: service_of(service) for service in read(read_folders(BASE), NAMESPACE).of(ServiceSpec)}
"""The Services, by name."""
WORKLOADS = sorted(MANIFESTS.deployments)
AGENTS = sorted(name for name, deployment in MANIFESTS.deployments.items() if deployment.component == "agent")
BEHIND_THE_INGRESS = sorted(MANIFESTS.deployments.keys() - {"ingress"})

HEALTH = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}
REFLECTION = {f"/grpc.reflection.{v}.ServerReflection/ServerReflectionInfo" for v in ("v1", "v1alpha")}
HTTP = {
    ("model", "/v1/chat/completions", "POST"): {"moderator", *AGENTS},
    ("embeddings", "/v1/embeddings", "POST"): {"moderator"},
}
"""Who calls what is no RPC of ours, as mesh.llm does it: callers by callee, path and method."""
SERVED = {
    "moderator": debate_service_pb2.DESCRIPTOR.services_by_name["DebateService"],
    **dict.fromkeys(AGENTS, agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]),
}
"""The service of each workload that has one."""


def texts(*folders: Path) -> dict[str, str]:
    """The YAML files below these folders, by their path."""
    found = sorted(path for folder in folders for path in folder.rglob("*.yaml"))
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in found}


def documents(*folders: Path) -> Iterator[dict[str, Any]]:
    """Every document of them but kustomizations."""
    for file, text in texts(*folders).items():
        yield from (document for document in parse_text(text, file) if document and document["kind"] != "Kustomization")


def kustomization_of(folder: Path) -> dict[str, Any]:
    """The kustomization of a folder."""
    path = folder / "kustomization.yaml"
    (found,) = parse_text(path.read_text("utf-8"), str(path))
    return dict(found)


def with_scenario(name: str) -> dict[str, str]:
    """The files as they are with a scenario applied: what it declares replaces what is there by that kind and name."""
    folders = {"mirror": ["canary/version.yaml", "mirror/traffic.yaml"]}.get(name, [name])
    paths = [ISTIO / "scenarios" / part for part in folders]
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    found = {str(file.relative_to(ROOT)): file.read_text("utf-8") for file in files}
    new = {_identity(document) for file, text in found.items() for document in parse_text(text, file)}
    for file, text in texts(BASE, ISTIO / "base", SERVICES).items():
        kept = [document for document in parse_text(text, file) if _identity(document) not in new]
        found[file] = dump_texts(kept)
    return found


def _identity(document: dict[str, Any]) -> tuple[str, str]:
    return document["kind"], document.get("metadata", {}).get("name", "")


@cache
def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The documents of a kind outside of scenarios, by name."""
    found = documents(BASE, ISTIO / "base", SERVICES)
    return {document["metadata"]["name"]: document for document in found if document["kind"] == kind}


def the(kind: str, name: str) -> dict[str, Any]:
    """The document of that kind and name, outside of scenarios."""
    found = of_kind(kind).get(name)
    assert found is not None, f"there is no {kind} {name}: add it (see those of its neighbours)"
    return found


@cache
def allowed() -> tuple[Edge, ...]:
    """The edges of the mesh as it is shipped."""
    return tuple(edges(texts(BASE, ISTIO / "base", SERVICES), namespace=NAMESPACE))


def path_of(method: descriptor.MethodDescriptor) -> str:
    """The path of an RPC."""
    return f"/{method.containing_service.full_name}/{method.name}"


def is_idempotent(method: descriptor.MethodDescriptor) -> bool:
    """Whether its proto says so."""
    return method.GetOptions().idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN


def rest_of(method: descriptor.MethodDescriptor, agent: str) -> tuple[str, str] | None:
    """Method and path of its google.api.http, for the debate `x` or that agent; None if another RPC has its REST."""
    options: Any = method.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    if verb is None:
        return None
    path = re.sub(r"\{\w+=debates/\*\}", "debates/x", getattr(rule, verb))
    return verb.upper(), re.sub(r"\{\w+=agents/\*\}", f"agents/{agent}", path)


def callers_of(method: descriptor.MethodDescriptor) -> dict[str, tuple[str, ...]]:
    """Callers that its comment names, with the roles in parentheses: "ingress (viewer, operator); agents, to ..."."""
    text = (ROOT / "protos" / method.containing_service.file.name).read_text("utf-8")
    comment = re.search(rf"((?:^  //.*\n)+)  rpc {method.name}\(", text, re.MULTILINE)
    assert comment is not None, method.full_name
    line = re.search(r"Callers: ([^.]*)\.", comment[1].replace("\n  //", ""))
    assert line is not None, f"{method.full_name} names no callers"
    found: dict[str, tuple[str, ...]] = {}
    for entry in line[1].split(";"):
        caller, _, roles = entry.partition("(")
        caller = caller.split(",")[0].strip()
        named = tuple(sorted(role.strip() for role in roles.rstrip(") ").split(",") if role.strip()))
        found.update(dict.fromkeys(AGENTS if caller == "agents" else [caller], named))
    return found
