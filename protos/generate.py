"""Writes `protos/gen` from `protos/rostrum` with the pinned grpcio-tools, mypy-protobuf and buf's googleapis imports.

Run it as `make protos` after each change of a .proto; a test runs it into another folder and compares. It also lays
the google/api files of the googleapis-common-protos wheel where buf.yaml looks for them (`.build/googleapis`), so that
buf needs no network.
"""

import importlib.metadata
import importlib.resources
import shutil
import subprocess
import sys
from pathlib import Path

import grpc_tools

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
GOOGLEAPIS = ROOT / ".build" / "googleapis"
WHEEL_FILES = ("google/api/annotations.proto", "google/api/http.proto")


def lay_googleapis(target: Path = GOOGLEAPIS) -> None:
    """Copies the few google/api files that our protos import out of the installed wheel."""
    wheel = importlib.metadata.distribution("googleapis-common-protos")
    for name in WHEEL_FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(wheel.locate_file(name)), target / name)


def generate(target: Path) -> None:
    """Writes messages, gRPC stubs and their type stubs to `target`. Raises CalledProcessError when a proto is wrong."""
    lay_googleapis()
    target.mkdir(parents=True, exist_ok=True)
    well_known = importlib.resources.files(grpc_tools) / "_proto"
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "rostrum").rglob("*.proto"))
    scripts = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc",
            f"--proto_path={PROTOS}", f"--proto_path={GOOGLEAPIS}", f"--proto_path={well_known}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}", f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}", f"--mypy_grpc_out=quiet:{target}",
            *sources,
        ],
        check=True,
    )  # fmt: skip
    for folder in {target / Path(source).parent for source in sources}:
        for package in (folder, *[parent for parent in folder.parents if target in parent.parents]):
            (package / "__init__.py").touch()


if __name__ == "__main__":
    shutil.rmtree(PROTOS / "gen", ignore_errors=True)
    generate(PROTOS / "gen")
