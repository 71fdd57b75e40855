"""Arguments and options that several commands have in common, and how the text of one is checked."""

from __future__ import annotations

from typing import Annotated

import typer

from mesh.cli.exits import CommandError, Exit
from mesh.resource_names import CONVERSATIONS

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def encodable(text: str, what: str) -> str:
    """Returns the text. Raises CommandError if the shell passed bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CommandError(f"{what} is not UTF-8 text: write it again in UTF-8", Exit.USAGE) from error
    return text


def conversation_name(conversation: str) -> str:
    """Returns "debates/x" for "x" or "debates/x". Raises CommandError."""
    conversation_id = encodable(conversation, "ID").removeprefix(f"{CONVERSATIONS.name}/")
    if not CONVERSATIONS.is_id(conversation_id):
        raise CommandError(
            f"{conversation!r} is no debate's id, nor its name {CONVERSATIONS.form}: `rostrum list` shows them",
            Exit.USAGE,
        )
    return CONVERSATIONS.name_of(conversation_id)
