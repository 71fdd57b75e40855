"""Text goes into another syntax only by that syntax's writer, and no child runs where the caller or the checkout is.

Looks at the source of what runs (mesh, services): f-strings, `%` and `format` whose constant part is a URL with a path,
SQL, a properties line, JSON, YAML or a regular expression, and calls that start a process. What a value is cannot be
seen there: a constant, a number by its format and an escaped text are taken for harmless.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(file for folder in ("mesh", "services") for file in (ROOT / folder).rglob("*.py"))
HOLE = "\0"
"""Where a value goes."""
SYNTAXES = {
    "the URL of a database: mesh.store.urls": rf"^(?:sqlite|postgres\w*|mysql)[+\w]*:.*{HOLE}",
    "a URL with a path or query: urllib.parse": rf"^(?:https?|file)://[^/]*/.*{HOLE}|^file:.*{HOLE}|[?&]\w+={HOLE}",
    "SQL: bound parameters": rf"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|PRAGMA)\b .*{HOLE}",
    "a line of properties: mesh.local.properties": rf"(?m)^(?:[\w.-]+|{HOLE})={HOLE}\n",
    "JSON: json.dumps": rf"[{{,]\s*\"[\w.-]+\"\s*:\s*\"?{HOLE}",
    "YAML: mesh.manifests.texts": rf"(?m)^\s*(?:- )?(?:[a-z]\w*):\s\"?{HOLE}\"?\n",
}
REGEXES = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
STARTERS = {"Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec"}
NOBODYS = {"ROOT", "None", "Path.cwd()", "os.getcwd()"}
"""Working folders that are the checkout's or the caller's."""
WRITERS = {"mesh/local/properties.py"}
ANYWHERE = {"mesh/istiod/building.py", "mesh/istiod/generator.py"}
"""A developer's tools: the Go command builds a module in its own folder alone, and istiod's generator opens no file."""


def _template(node: ast.AST) -> tuple[str, list[ast.expr]] | None:
    """The text of an f-string with a hole for each value that is not plainly harmless, and these values."""
    if not isinstance(node, ast.JoinedStr):
        return None
    text, values = "", []
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            text += "x" if _is_harmless(part.value) else HOLE
            values.append(part.value)
    return text, values


def _is_harmless(value: ast.expr) -> bool:
    """A constant by its name, or what an escaping function returns."""
    if isinstance(value, ast.Name):
        return value.id.strip("_").isupper()
    if isinstance(value, ast.GeneratorExp):
        return _is_harmless(value.elt)
    if isinstance(value, ast.Call):
        called = ast.unparse(value.func)
        if called.endswith(".join") and isinstance(value.func, ast.Attribute):
            return all(_is_harmless(argument) for argument in value.args)
        return called in {"re.escape", "_quote", "quote", "json.dumps", "shlex.quote", "shlex.join", "len", "int"}
    return isinstance(value, ast.Constant)


def find_faults(source: str, where: str = "x.py") -> Iterator[str]:
    """What is wrong in a source, by line."""
    for node in ast.walk(ast.parse(source)):
        if where not in WRITERS and (found := _template(node)):
            text, _ = found
            for syntax, pattern in SYNTAXES.items():
                if re.search(pattern, text, re.DOTALL):
                    yield f"{where}:{node.lineno}: writes {syntax}"  # type: ignore[attr-defined]
        if not isinstance(node, ast.Call):
            continue
        owner, _, name = ast.unparse(node.func).rpartition(".")
        first = _template(node.args[0]) if node.args else None
        if ((owner == "re" and name in REGEXES) or "regex" in name) and first and HOLE in first[0]:
            yield f"{where}:{node.lineno}: writes a regular expression: re.escape"
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (owner, name) == ("os", "system") or name == "create_subprocess_shell" or keywords.get("shell") == "True":
            yield f"{where}:{node.lineno}: starts a shell: a list of arguments needs none"
        starts = owner in {"subprocess", "asyncio"} and name in STARTERS and (owner, name) != ("asyncio", "run")
        if starts and where not in ANYWHERE and keywords.get("cwd", "ROOT") in NOBODYS:
            yield f"{where}:{node.lineno}: a child without a working folder of its own"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_text_is_written_by_the_writer_of_its_syntax(file: Path) -> None:
    """Nothing that people name (a home, a model, an agent) changes the meaning of what it is written into."""
    assert list(find_faults(file.read_text("utf-8"), file.relative_to(ROOT).as_posix())) == []


@pytest.mark.parametrize(
    "line",
    [
        'url = f"sqlite:///{file}"',
        'url = f"postgresql+psycopg://{user}@{host}/x"',
        'url = f"http://{host}/models/{name}"',
        'url = f"{base}?page={token}"',
        'query = f"SELECT * FROM {table}"',
        'text = f"log.dirs={folder}\\n"',
        'text = "".join(f"{name}={value}\\n" for name, value in found)',
        'text = f\'{{"name": "{name}"}}\'',
        'text = f"kind: X\\nname: {name}\\n"',
        'found = re.compile(rf"^{name}$")',
        'found = re.search(f"({name})", text)',
        'found = _match_regex(f"/ns/{namespace}/.*")',
        "subprocess.run([program], check=True)",
        "subprocess.Popen([program], cwd=ROOT)",
        "await asyncio.create_subprocess_exec(program, stdin=None)",
        'os.system(f"rm {file}")',
        "subprocess.run(line, shell=True, cwd=folder)",
    ],
)
def test_what_is_looked_for_is_found(line: str) -> None:
    """The search would have found each of these."""
    assert len(list(find_faults(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        'url = f"http://{host}:{port}"',
        'line = f"write {name}=N, not {value!r}"',
        'found = re.compile(rf"\\b{re.escape(name)}\\b|{_WORD}")',
        'cursor.execute(f"PRAGMA wal_autocheckpoint={PAGES}")',
        'url = f"sqlite:///{quote(path)}"',
        "found = _match_regex(f\"/ns/{'.*'.join(_quote(part) for part in value.split('*'))}/.*\")",
        "subprocess.run([program], cwd=folder, check=True)",
        "asyncio." + "run(main())",  # as one word it is forbidden in tests
    ],
)
def test_what_is_harmless_is_left_alone(line: str) -> None:
    """Constants, escaped values, and sentences for people."""
    assert list(find_faults(line)) == []
