"""Writes `protos/gen` from `protos/rostrum` with the pinned grpcio-tools, mypy-protobuf and buf's googleapis imports.

Run it as `make protos` after each change of a .proto; a test runs it into another folder and compares. It also lays
the google/api files of the googleapis-common-protos wheel where buf.yaml looks for them (`.build/googleapis`), so that
buf needs no network. The stubs of the second application, which only tests run, are written beside its .proto.
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
SECOND_APPLICATION = ROOT / "tests" / "support" / "guestbook"
WHEEL_FILES = ("google/api/annotations.proto", "google/api/http.proto", "google/api/httpbody.proto")


def lay_googleapis(target: Path = GOOGLEAPIS) -> None:
    """Copies the few google/api files that our protos import out of the installed wheel."""
    wheel = importlib.metadata.distribution("googleapis-common-protos")
    for name in WHEEL_FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(wheel.locate_file(name)), target / name)


def generate(target: Path, folder: Path = PROTOS / "rostrum", root: Path = PROTOS) -> None:
    """Writes messages, gRPC stubs and their type stubs of the protos in `folder` to `target`.

    A proto's path below `root` is its module's below `target`. Raises CalledProcessError when a proto is wrong.
    """
    lay_googleapis()
    target.mkdir(parents=True, exist_ok=True)
    well_known = importlib.resources.files(grpc_tools) / "_proto"
    sources = sorted(str(path.relative_to(root)) for path in folder.rglob("*.proto"))
    scripts = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc",
            *(f"--proto_path={path}" for path in dict.fromkeys((root, PROTOS, GOOGLEAPIS, well_known))),
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={target}", f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}", f"--mypy_grpc_out=quiet:{target}",
            *sources,
        ],
        check=True,
    )  # fmt: skip
    for leaf in {target / Path(source).parent for source in sources}:
        for package in (leaf, *[parent for parent in leaf.parents if target in parent.parents]):
            (package / "__init__.py").touch()


if __name__ == "__main__":
    shutil.rmtree(PROTOS / "gen", ignore_errors=True)
    generate(PROTOS / "gen")
    generate(ROOT, SECOND_APPLICATION, ROOT)
