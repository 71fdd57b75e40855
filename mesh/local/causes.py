"""Why a process ended, in a line for people: found in what it wrote, whichever language or program that was.

Knows how Python, Java, Kafka, Envoy and our own services write what went wrong: tracebacks with their carets, stack
traces that end in `... 30 more`, JSON log lines, levels. It starts nothing. Called by who started what has failed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

MAX_CHARACTERS = 300
"""Of a cause: it is part of one line."""
READ_BYTES = 65_536
"""Of a log's end, in which a cause is looked for: a Java stack trace, or a traceback in a JSON line, is long."""

_JSON_ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL"})
_ENVOY = re.compile(r"\[\d{4}-[^]]*\]\[\d+\]\[(?P<level>\w+)\]\[[^]]*\] \[[^]]*\] (?P<text>.*)")
_ENVOY_QUOTED = re.compile(r"error `(?P<text>[^`]*)")
_JAVA_LOG = re.compile(r"\d{4}-\S+ \[[^]]*\] (?P<level>[A-Z]+) \S+ - *(?:FATAL *)?(?P<text>.*)")
_JAVA_CLASS = r"(?:[a-z_]\w*\.)+[A-Z][\w$]*"
_JAVA = re.compile(rf"(?:Exception in thread \"[^\"]*\" )?(?P<name>{_JAVA_CLASS})(?:: (?P<text>.*))?")
_JAVA_CAUSE = re.compile(rf"(?:Caused by|Suppressed): (?P<name>{_JAVA_CLASS})(?:: (?P<text>.*))?")
_JAVA_PLACE = re.compile(r"\s+at [\w.$/<>-]+\(|\s*\.\.\. \d+ (?:more|common frames)")
_PYTHON = re.compile(r"(?:Traceback \(most recent call last\):|Exception Group Traceback .*)")
_PYTHON_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Group|Exit|Interrupt|Iteration|Warning)(?:: .*)?")
_PACKAGE = re.compile(r"^(?:[a-z_]\w*\.)+(?=[A-Z]\w*(?::|$))")
"""Before the name of an exception."""
_FATAL = re.compile(r"(?:panic|fatal error|Fatal Python error|Error|ERROR|error): (?P<text>.*)")
_DECORATION = re.compile(r"[\s\W]*")
"""Carets, rules and brackets: nothing that anybody could read."""


def cause_of(output: str) -> str:
    """Returns the last error in what a process wrote, else its last readable line; empty if there is none."""
    errors: list[str] = []
    others = [""]
    for text, is_error in _readings(output):
        (errors if is_error else others).append(text)
    found = (errors or others)[-1]
    return _shorten(_PACKAGE.sub("", found))


def read_cause(log: Path, start: int = 0) -> str:
    """Returns the cause that the end of a log has, from byte `start` on; empty if there is none, or no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - READ_BYTES))
            return cause_of(file.read().decode(errors="replace"))
    except OSError:
        return ""


def _readings(output: str) -> Iterator[tuple[str, bool]]:
    """What each line, or group of lines, says, and whether as an error."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    while lines:
        line = lines.pop(0)
        bare = line.strip(" |+-")
        if (record := _json_record(line)) is not None:
            yield record
        elif found := _ENVOY.match(line) or _JAVA_LOG.match(line):
            quoted = _ENVOY_QUOTED.match(found["text"])
            yield (quoted or found)["text"], found["level"].lower() in {"error", "critical", "fatal"}
        elif _PYTHON.fullmatch(bare):
            if error := _python_error(lines):
                yield error, True
        elif found := _JAVA.fullmatch(line):
            yield _java_error(found, lines), True
        elif _PYTHON_ERROR.fullmatch(bare) and (line == bare or "|" in line):  # also one of a group
            yield bare, True
        elif found := _FATAL.match(line):
            yield found["text"], True
        elif not _DECORATION.fullmatch(line) and not _JAVA_PLACE.match(line):
            yield line.strip(), False


def _json_record(line: str) -> tuple[str, bool] | None:
    """A log line of our services, or of another program that writes JSON; None if it is none."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:  # its beginning was cut off, or it is no JSON
        return None
    text = next((record[name] for name in ("message", "msg", "error") if isinstance(record.get(name), str)), None)
    if text is None:
        return None
    level = str(record.get("level") or record.get("severity") or "").upper()
    return _with_exception(text.removeprefix("could not run: "), record.get("error")), level in _JSON_ERRORS


def _with_exception(text: str, traceback: object) -> str:
    """What a record says, with the exception that it was logged with unless it says that itself."""
    if not isinstance(traceback, str) or text == traceback:
        return text
    error = cause_of(traceback)
    return (
        text
        if error.partition(": ")[2][:80] in " ".join(text.split())
        else f"{text.splitlines()[0].rstrip('.:')}: {error}"
    )


def _python_error(lines: list[str]) -> str:
    """Takes the rest of a traceback from the lines; returns its last line, the first one at its own indent."""
    while lines:
        margin = re.match(r"[ |]*\| |", lines[0])
        assert margin is not None  # noqa: S101 - it matches the empty text too
        line = lines.pop(0)[margin.end() :]
        if not line.startswith((" ", "\t")) and not _DECORATION.fullmatch(line):
            return line
    return ""


def _java_error(header: re.Match[str], lines: list[str]) -> str:
    """Takes the rest of a stack trace from the lines; returns what failed first, and by what."""
    said = [_java_message(header)]
    while lines and (_JAVA_PLACE.match(lines[0]) or _JAVA_CAUSE.match(lines[0].strip())):
        if found := _JAVA_CAUSE.match(lines.pop(0).strip()):
            said.append(_java_message(found))
    reason = said[-1]
    for outer in reversed(said):  # who says the same and more says it better
        reason = outer if reason in outer else reason
    return reason if reason in said[0] or said[0] in reason else f"{said[0].rstrip('.:')}: {reason}"


def _java_message(found: re.Match[str]) -> str:
    """The message of an exception without the names of classes before it; its own name if it has none."""
    text = re.sub(rf"^(?:{_JAVA_CLASS}: )+", "", found["text"] or "")
    return text or found["name"].rpartition(".")[2]


def _shorten(text: str) -> str:
    """One line of printable characters; of a long one its begin, which says what, and its end, which often says why."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    half = (MAX_CHARACTERS - 5) // 2
    return line if len(line) <= MAX_CHARACTERS else f"{line[:half]} ... {line[-half:]}"
