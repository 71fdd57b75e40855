"""What the moderator reads from its environment, once, in `wiring`."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.resource_names import AGENTS
from mesh.settings import setting
from services.moderator.model.debate import Stance


def parse_seats(text: str) -> tuple[tuple[str, str], ...]:
    """Parses "team-a=FOR,team-b=AGAINST"."""
    parsed: list[tuple[str, str]] = []
    for part in text.split(","):
        agent, separator, stance = part.strip().partition("=")
        if not AGENTS.is_id(agent) or not separator or stance not in Stance.__members__:
            message = f"{part.strip()!r} is not AGENT=FOR or AGENT=AGAINST"
            raise ValueError(message)
        parsed.append((agent, stance))
    if not 2 <= len(parsed) <= 8 or len({agent for agent, _ in parsed}) != len(parsed):
        message = "2 to 8 seats, each agent once"
        raise ValueError(message)
    return tuple(parsed)


@dataclass(frozen=True)
class Settings:
    """The moderator's settings; deployment-wide ones are in mesh/service.py."""

    default_seats: tuple[tuple[str, str], ...] = setting(
        "DEFAULT_SEATS",
        "seats of a debate that names none, as AGENT=FOR,AGENT=AGAINST",
        default=(("team-a", "FOR"), ("team-b", "AGAINST")),
        parse=parse_seats,
    )
    """(agent, stance), in the order in which they speak."""
    embeddings_url: str = setting(
        "EMBEDDINGS_URL", "URL of the embedding model's OpenAI API", default="http://embeddings:8081/v1"
    )
    """URL that ends in /v1."""
