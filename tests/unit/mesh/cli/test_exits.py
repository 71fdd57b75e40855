"""What a person reads of an error: what is wrong, then what to do about it."""

from __future__ import annotations

import re

import pytest
import typer.main

from mesh.cli import program
from mesh.cli.exits import line_of
from mesh.errors import Code, RostrumError
from mesh.rpc.status import RefusedByPolicyError, UnreachableError
from services.application import APPLICATION
from tests.support.error_classes import error_classes

CLASSES: list[type[RostrumError]] = [*error_classes(), RefusedByPolicyError, UnreachableError]
COMMANDS = typer.main.get_command(program.build(APPLICATION)).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_brings_its_own_advice(cls: type[RostrumError]) -> None:
    """One line: the message, then the class's advice; and every command that it names exists."""
    error = cls("something\nis wrong.")
    assert line_of(error) == (f"something is wrong: {error.advice}" if error.advice else "something is wrong.")
    assert set(re.findall(r"`rostrum ([a-z]+)", error.advice)) <= COMMANDS.keys()
    said_already = cls(f"wrong, so {error.advice}" if error.advice else "wrong")
    assert line_of(said_already) == said_already.message


# The runner's own errors say in each message what to do: it is another thing each time.
ADVISING = [cls for cls in CLASSES if cls.__module__ != "mesh.local.errors"]


@pytest.mark.parametrize("cls", [cls for cls in ADVISING if cls.retriable or cls.code is Code.NOT_FOUND])
def test_what_a_person_can_do_is_said(cls: type[RostrumError]) -> None:
    """Where trying again or another name helps, the class says how."""
    assert cls.advice
