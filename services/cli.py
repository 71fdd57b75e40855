"""The `rostrum` command of this application: the runtime's commands, and those of debates.

The one place that knows which services bring commands; a service's own are in its `commands`.
"""

from __future__ import annotations

from typing import NoReturn

from mesh.cli import program
from services.moderator.commands import debates

APPLICATION = program.Application(
    help="Language-model agents as services: hold a debate, and see what was said.",
    first_command='debate "TOPIC"',
    register=debates.register,
)


def main() -> NoReturn:
    """Runs the command line of this process and exits."""
    program.main(APPLICATION, "services.cli")


if __name__ == "__main__":
    main()
