"""What a pod's process finds in its environment: the variables of its Deployment, and the runner's own in their place.

A pod gets few of the caller's variables: where its model is, and what telemetry wants. Called by the runner alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.local.errors import ManifestError
from mesh.local.folders import PodFolder
from mesh.local.manifests import Deployment, EnvVar, Manifests

PASSED = ("OLLAMA_HOST", "OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "ROSTRUM_CACHE", "XDG_CACHE_HOME")
MACHINE = ("HOME", "LANG", "TMPDIR")
PREFIXES = ("OTEL_", "OPENBLAS_")


@dataclass(frozen=True)
class Environment:
    """What is the same for all pods of a home. `caller`: the variables of who started the runner."""

    manifests: Manifests
    home: Path
    model: str
    caller: Mapping[str, str]

    @property
    def machine(self) -> dict[str, str]:
        """What every process gets."""
        kept = {name: value for name, value in self.caller.items() if name in MACHINE or name.startswith("OPENBLAS_")}
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **kept}

    def of(
        self, deployment: Deployment, pod: str, ip: str, folder: PodFolder, *, bootstrap: str, kafka_tls: Path | None
    ) -> dict[str, str]:
        """The variables of one pod. `bootstrap`: Kafka's servers. Raises ManifestError."""
        found: dict[str, str] = {}
        for source in deployment.env_from:
            found.update(self.manifests.config_maps[source])
        own = {
            "POD_NAME": pod,
            "POD_IP": ip,
            "SIDECAR_FOLDER": folder.short,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "DATABASE_URL": f"sqlite:///{self.home / 'stores' / _service(deployment)}.db",
            "MODEL": self.model,
        }
        if kafka_tls is not None:
            own["KAFKA_TLS_FOLDER"] = str(kafka_tls)
        for each in deployment.env:
            value = self._value(deployment, each, pod, ip, own)
            if value is not None:
                found[each.name] = re.sub(r"\$\((\w+)\)", lambda match: {**own, **found}.get(match[1], match[0]), value)
        # Where a pod is to listen at its own address, it listens at a socket that only its sidecar knows.
        sockets = {f"{ip}:{port}": f"unix:{folder.app_socket(port)}" for port in deployment.ports.values()}
        found = {name: sockets.get(value, value) for name, value in found.items()}
        if kafka_tls is None:
            found.pop("KAFKA_TLS_FOLDER", None)
        passed = {name: value for name, value in self.caller.items() if name in PASSED or name.startswith(PREFIXES)}
        return {**self.machine, **found, **own, **passed}

    def _value(self, deployment: Deployment, each: EnvVar, pod: str, ip: str, own: Mapping[str, str]) -> str | None:
        if each.field_path:
            return {"metadata.name": pod, "status.podIP": ip}[each.field_path]
        if each.config is not None:
            return self.manifests.config_maps[each.config[0]].get(each.config[1], "")
        if each.secret is None:
            return each.value
        if each.name not in own and each.name not in self.caller:
            if each.optional:
                return None
            raise ManifestError(f"{deployment.name} needs the secret {each.name}: set it in the environment.")
        return self.caller.get(each.name, "")


def _service(deployment: Deployment) -> str:
    """Whose store it is: another version of a service shares the service's."""
    return next((each.value for each in deployment.env if each.name == "SERVICE_NAME" and each.value), deployment.name)
