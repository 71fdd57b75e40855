"""The twelve motions, of different kinds and in five languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Motion:
    """What is debated."""

    id: str
    kind: str
    language: str
    topic: str
    """What the debate is created with."""


MOTIONS: tuple[Motion, ...] = (
    Motion("cars", "policy", "en", "Cities should ban private cars from their centres"),
    Motion("income", "policy", "en", "Every adult should get a basic income from the state"),
    Motion("meat", "ethics", "en", "It is wrong to eat meat"),
    Motion("zoos", "ethics", "en", "Zoos should be closed"),
    Motion("pineapple", "everyday taste", "en", "Pineapple belongs on pizza"),
    Motion("books", "everyday taste", "en", "A book is better than its film"),
    Motion("mars", "science", "en", "Sending humans to Mars is worth its cost"),
    Motion("genes", "science", "en", "Gene-edited crops should be grown in Europe"),
    Motion("telefonos", "policy", "es", "Las escuelas deberían prohibir los teléfonos móviles"),
    Motion("tempolimit", "policy", "de", "Auf Autobahnen soll ein Tempolimit gelten"),
    Motion("yuancheng", "everyday taste", "zh", "远程办公比在办公室工作更好"),
    Motion("hayawanat", "ethics", "ar", "يجب حظر التجارب على الحيوانات"),
)


def choose_motions(wanted: str) -> tuple[Motion, ...]:
    """Returns the motions of a list: all if empty, the first N for a number, else those named by id, with commas.

    Raises ValueError.
    """
    if not wanted:
        return MOTIONS
    if wanted.isdecimal():
        return MOTIONS[: int(wanted)]
    by_id = {motion.id: motion for motion in MOTIONS}
    unknown = [name for name in wanted.split(",") if name not in by_id]
    if unknown:
        raise ValueError(f"no motion {unknown[0]!r}: there are {', '.join(by_id)}")
    return tuple(by_id[name] for name in wanted.split(","))
