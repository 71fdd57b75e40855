"""The manifests that the conformance tests speak of: cases of tests/istiod, or a few pods and policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CASES = Path(__file__).resolve().parents[1] / "istiod" / "cases"
LOGGED = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: log, namespace: istio-system}
spec: {accessLogging: [{providers: [{name: envoy}]}]}
"""
"""Every Envoy logs what it refuses, and why."""


def case(name: str, *more: str) -> dict[str, str]:
    """A case that istiod and the translator agree on, with documents more, logged."""
    found = {"case": (CASES / f"{name}.yaml").read_text("utf-8"), "log": LOGGED}
    return {**found, **{f"more {number}": text for number, text in enumerate(more)}}


def shop(*documents: str) -> dict[str, str]:
    """These documents, logged."""
    return {"shop": "\n---\n".join(documents), "log": LOGGED}


def pod(
    name: str,
    ports: Mapping[str, int] | None = None,
    *,
    namespace: str = "shop",
    replicas: int = 1,
    app: str = "",
    version: str = "v1",
    service: bool = True,
) -> str:
    """A workload with its account and its Service, whose ports have the same numbers; "http", "grpc" or "tcp"."""
    app = app or name
    named = [f"{{name: {port}, containerPort: {number}}}" for port, number in (ports or {}).items()]
    served = [f"{{name: {port}, port: {number}, targetPort: {number}}}" for port, number in (ports or {}).items()]
    account = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}"""
    workload = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {app}, version: {version}}}}}
  template:
    metadata: {{labels: {{app: {app}, version: {version}}}}}
    spec:
      serviceAccountName: {name}
      containers: [{{name: {name}, image: "{name}:1", ports: [{", ".join(named)}]}}]"""
    front = f"""
apiVersion: v1
kind: Service
metadata: {{name: {app}, namespace: {namespace}}}
spec:
  selector: {{app: {app}}}
  ports: [{", ".join(served)}]"""
    return "\n---".join([account, workload, *([front] if served and service else [])])


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}"""
