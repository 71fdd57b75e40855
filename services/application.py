"""What this application adds to the runtime's command: the commands of debates.

The one place that knows which services bring commands; a service's own are in its `commands`. Run by `services.cli`.
"""

from __future__ import annotations

from mesh.cli import program
from services.moderator.commands import debates

APPLICATION = program.Application(
    help="Language-model agents as services: hold a debate, and see what was said.",
    first_command='debate "TOPIC"',
    register=debates.register,
)
