"""The contracts keep their rules, break no caller, and the committed stubs are what the pinned tools write."""

from __future__ import annotations

import ast
import filecmp
import json
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
from google.protobuf import descriptor_pb2
from rostrum.debate.v1 import debate_pb2
from rostrum.errors.v1 import error_reason_pb2

from tests.support.buf import ROOT, breaking, buf, build, default_branch, generator, image_of
from tests.support.error_classes import error_classes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METHOD = 2  # field numbers of descriptor.proto, which source locations are made of
SERVICE, ENUM, ENUM_VALUE = 6, 5, 2

IDEMPOTENT = {
    descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN: ("only with request_id", "no;"),
    descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS: ("yes",),
    descriptor_pb2.MethodOptions.IDEMPOTENT: ("yes",),
}
"""How the comment begins; after "no;" it says why."""


@cache
def _files() -> list[descriptor_pb2.FileDescriptorProto]:
    """Every proto of ours with its comments."""
    out = ROOT / ".build" / "image.binpb"
    built = buf("build", "--as-file-descriptor-set", "-o", str(out))
    assert built.returncode == 0, built.stderr + built.stdout
    image = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return [file for file in image.file if file.package.startswith("rostrum.")]


def _comment(file: descriptor_pb2.FileDescriptorProto, *path: int) -> str:
    found = (location for location in file.source_code_info.location if list(location.path) == list(path))
    return "\n".join(line.strip() for line in next(found).leading_comments.strip().splitlines())


def _methods() -> Iterator[tuple[str, descriptor_pb2.MethodDescriptorProto, str]]:
    for file in _files():
        for number, service in enumerate(file.service):
            for place, method in enumerate(service.method):
                yield f"{service.name}.{method.name}", method, _comment(file, SERVICE, number, METHOD, place)


def _parts(comment: str) -> dict[str, str]:
    """The parts of an RPC's comment by their labels; what it does is under ''."""
    pieces = re.split(r"^(Idempotent|Errors|Callers|Emits):", comment, flags=re.MULTILINE)
    return {"": pieces[0].strip(), **dict(zip(pieces[1::2], (text.strip() for text in pieces[2::2]), strict=True))}


def test_buf_lint() -> None:
    """buf finds no fault under the rules of buf.yaml."""
    result = buf("lint")
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_breaks_the_default_branch(tmp_path: Path) -> None:
    """No proto breaks what callers of the default branch's last commit were built against."""
    commit = default_branch()
    before = image_of(commit, tmp_path) if commit else None
    if before is None:
        pytest.skip("no commit with protos to compare with")
    assert breaking(build(tmp_path / "now.binpb"), before) == "", f"against {commit}"


def test_nothing_breaks_a_release(tmp_path: Path) -> None:
    """No proto breaks a frozen image of tests/contract/images; each release adds one."""
    now = build(tmp_path / "now.binpb")
    for image in sorted((ROOT / "tests" / "contract" / "images").glob("*.binpb")):
        assert breaking(now, image) == "", image.name


def test_a_break_is_found(tmp_path: Path) -> None:
    """The check itself works: a field that is gone is reported."""
    (tmp_path / "protos").mkdir()
    for source in sorted((ROOT / "protos" / "rostrum").rglob("*.proto")):
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text("utf-8")
        target.write_text(re.sub(r"^  string etag = 12;$", "", text, flags=re.MULTILINE), "utf-8")
    (tmp_path / "buf.yaml").write_bytes((ROOT / "buf.yaml").read_bytes())
    before = build(tmp_path / "before.binpb")
    assert '"etag"' in breaking(build(tmp_path / "now.binpb", tmp_path), before)


def test_stubs_are_current(tmp_path: Path) -> None:
    """protos/gen is, file by file, what `make protos` writes."""
    generator().generate(tmp_path)
    committed = ROOT / "protos" / "gen"

    def names(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*.py*") if "__pycache__" not in path.parts}

    assert names(committed) == names(tmp_path), "run `make protos`"
    _, different, unreadable = filecmp.cmpfiles(committed, tmp_path, sorted(names(tmp_path)), shallow=False)
    assert (different, unreadable) == ([], []), "run `make protos`"


def test_stubs_of_the_second_application_are_current(tmp_path: Path) -> None:
    """Those that tests use beside guestbook.proto are, file by file, what `make protos` writes."""
    generate = generator()
    generate.generate(tmp_path, generate.SECOND_APPLICATION, ROOT)
    stubs = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*_pb2*"))
    assert len(stubs) == 4
    _, different, unreadable = filecmp.cmpfiles(ROOT, tmp_path, stubs, shallow=False)
    assert (different, unreadable) == ([], []), "run `make protos`"


def test_every_rpc_says_five_things() -> None:
    """What it does, whether it is idempotent, its errors, its callers, what it emits: each in its comment."""
    for name, _, comment in _methods():
        parts = _parts(comment)
        assert all(parts.get(label) for label in ("", "Idempotent", "Errors", "Callers", "Emits")), name


def test_idempotent_is_the_idempotency_level() -> None:
    """The comment's word and the option that Envoy and clients read say the same."""
    for name, method, comment in _methods():
        expected = IDEMPOTENT[method.options.idempotency_level]
        assert _parts(comment)["Idempotent"].startswith(expected), name
        if "yes" not in expected:
            source = next(m for f in _files() for m in f.message_type if method.input_type.endswith(f".{m.name}"))
            has_request_id = "request_id" in [field.name for field in source.field]
            assert has_request_id is _parts(comment)["Idempotent"].startswith("only"), name


def test_errors_and_events_exist() -> None:
    """Each reason named by an RPC is an ErrorReason; each event it emits is a kind of DebateEvent."""
    kinds = {field.name for field in debate_pb2.DebateEvent.DESCRIPTOR.oneofs_by_name["kind"].fields}
    for name, _, comment in _methods():
        parts = _parts(comment)
        reasons = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", parts["Errors"]))
        assert reasons <= set(error_reason_pb2.ErrorReason.keys()), name
        assert reasons or parts["Errors"].startswith("none"), name
        emitted = set(re.findall(r"\b[a-z]+_[a-z]+\b", parts["Emits"]))
        assert emitted <= kinds, name
        assert emitted or parts["Emits"].startswith("nothing"), name


def _reasons() -> dict[str, str]:
    """The comment of each ErrorReason that may be sent, by its name."""
    file = next(file for file in _files() if file.name.endswith("error_reason.proto"))
    values = enumerate(file.enum_type[0].value)
    return {value.name: _comment(file, ENUM, 0, ENUM_VALUE, place) for place, value in values if value.number}


def _payloads(comment: str) -> list[dict[str, str]]:
    """The JSON examples of a reason's comment."""
    return [json.loads(line) for line in comment.splitlines() if line.startswith("{")]


def _keys_sent() -> dict[str, set[str]]:
    """The metadata keys with which the code of mesh and services makes errors, by the name of the class."""
    keys: dict[str, set[str]] = {}
    for path in sorted([*(ROOT / "mesh").rglob("*.py"), *(ROOT / "services").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                keys.setdefault(name, set()).update(keyword.arg for keyword in node.keywords if keyword.arg)
    return keys


def test_each_reason_shows_code_and_payload_of_its_class() -> None:
    """An ErrorReason's comment has the code and retriability of its class, and JSON examples of its metadata."""
    classes = {cls.reason: cls for cls in error_classes()}
    for name, comment in _reasons().items():
        error = classes[name]
        assert comment.startswith((f"{error.code}.", f"{error.code}, ")), name
        assert ("retriable" in comment.split(".")[0]) == error.retriable, name
        assert _payloads(comment), name


def test_each_reason_documents_the_metadata_that_is_sent() -> None:
    """The keys of a reason's examples are those that the code sends with its class, no more and no fewer."""
    sent = _keys_sent()
    reasons = _reasons()
    for cls in error_classes():
        documented = {key for payload in _payloads(reasons[cls.reason]) for key in payload}
        assert documented == sent.get(cls.__name__, set()), cls.reason


def test_an_id_that_a_reason_speaks_of_is_one_that_it_has() -> None:
    """Where a comment says "request id" or request_id, that is a key of its metadata or the field that is wrong."""
    for name, comment in _reasons().items():
        payloads = _payloads(comment)
        known = {key for payload in payloads for key in payload} | {payload.get("field", "") for payload in payloads}
        prose = " ".join(line for line in comment.splitlines() if not line.startswith("{"))
        assert {f"{word}_id" for word in re.findall(r"\b([a-z]+)[ _]id\b", prose)} <= known, name
