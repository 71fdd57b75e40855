"""What the ingress knows of the contracts is what they are today."""

from __future__ import annotations

import base64
import importlib.util
from types import ModuleType
from typing import Any

from google.protobuf import descriptor_pb2

from tests.manifests.sources import ROOT, SERVED, of_kind, the


def _script() -> ModuleType:
    """protos/transcoder.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("transcoder", ROOT / "protos" / "transcoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _config() -> dict[str, Any]:
    config: dict[str, Any] = the("EnvoyFilter", "transcoder")["spec"]["configPatches"][0]["patch"]["value"][
        "typed_config"
    ]
    return config


def test_contracts_are_current() -> None:
    """Both files are, byte by byte, what `make protos` writes."""
    for file, text in _script().written().items():
        assert file.read_text("utf-8") == text, "run `make protos`"


def test_descriptors_are_complete() -> None:
    """Each file comes after all that it imports, as Envoy wants it, and each service of ours is transcoded."""
    found = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(_config()["proto_descriptor_bin"]))
    seen: set[str] = set()
    for file in found.file:
        assert set(file.dependency) <= seen, file.name
        seen.add(file.name)
    services = {f"{file.package}.{service.name}" for file in found.file for service in file.service}
    assert set(_config()["services"]) == {service.full_name for service in SERVED.values()} == services


def test_each_envoy_filter_has_a_priority_of_its_own() -> None:
    """Where filters go depends on their order, which without priorities is that of their ages (istioctl's IST0151)."""
    found = {name: document["spec"].get("priority", 0) for name, document in of_kind("EnvoyFilter").items()}
    assert 0 not in found.values()
    assert len(set(found.values())) == len(found)
    assert sorted(found, key=lambda name: found[name]) == [
        "rate-limit", "requests", "size-limit", "transcoder", "replies",
    ]  # fmt: skip
