"""Writes `protos/stubs`: types for Envoy's messages, which xds-protos ships without, so that mypy knows each field.

Made of the descriptors in the installed wheel by mypy-protobuf, so no .proto is needed; only for the files whose
messages our code imports, and what these are made of. Run it as part of `make protos` after an import of another of
Envoy's files and after a new release of xds-protos; a test runs it into another folder and compares. Nothing reads the
stubs but mypy and editors.
"""

import ast
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor import FileDescriptor

ROOT = Path(__file__).resolve().parents[1]
UNTYPED = {"envoy", "udpa", "xds"}
"""The top packages of xds-protos whose messages we name."""


def imported_modules() -> set[str]:
    """The modules of these packages that our code imports."""
    found = set()
    for path in (path for folder in ("mesh", "services", "tests") for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text("utf-8")
        if not any(f"from {package}." in text for package in UNTYPED):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in UNTYPED:
                found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def closure(modules: set[str]) -> list[FileDescriptor]:
    """The files of these modules, and before each what it imports."""
    found: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in found:
            for dependency in file.dependencies:
                add(dependency)
            found[file.name] = file

    for module in sorted(modules):
        add(importlib.import_module(module).DESCRIPTOR)
    return list(found.values())


def generate(target: Path) -> None:
    """Writes the stubs to `target`. Raises CalledProcessError, or RuntimeError with what the plugin says."""
    request = plugin_pb2.CodeGeneratorRequest(parameter="quiet")
    for file in closure(imported_modules()):
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        request.proto_file.append(proto)
        if file.name.split("/")[0] in UNTYPED:
            request.file_to_generate.append(file.name)
    plugin = Path(sys.executable).parent / "protoc-gen-mypy"
    ran = subprocess.run([str(plugin)], input=request.SerializeToString(), stdout=subprocess.PIPE, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(ran.stdout)
    if response.error:
        raise RuntimeError(response.error)
    for stub in response.file:
        path = target / stub.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub.content, "utf-8")
        # The wheel's packages have an __init__.py, which mypy would prefer to a folder without one.
        for package in (folder for folder in path.parents if target in folder.parents):
            (package / "__init__.pyi").touch()


if __name__ == "__main__":
    shutil.rmtree(ROOT / "protos" / "stubs", ignore_errors=True)
    generate(ROOT / "protos" / "stubs")
