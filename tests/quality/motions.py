"""The twelve motions, of different kinds and in five languages, with both sides of each in words for the judge."""

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
    sides: tuple[str, str]
    """What FOR and AGAINST hold, each as a sentence in the motion's language."""


MOTIONS: tuple[Motion, ...] = (
    Motion(
        "cars",
        "policy",
        "en",
        "Cities should ban private cars from their centres",
        ("Private cars should be banned from city centres.", "Private cars should stay allowed in city centres."),
    ),
    Motion(
        "income",
        "policy",
        "en",
        "Every adult should get a basic income from the state",
        ("A basic income for every adult is a good idea.", "A basic income for every adult is a bad idea."),
    ),
    Motion(
        "meat",
        "ethics",
        "en",
        "It is wrong to eat meat",
        ("Eating meat is wrong.", "Eating meat is not wrong."),
    ),
    Motion(
        "zoos",
        "ethics",
        "en",
        "Zoos should be closed",
        ("Zoos should be closed.", "Zoos should stay open."),
    ),
    Motion(
        "pineapple",
        "everyday taste",
        "en",
        "Pineapple belongs on pizza",
        ("Pineapple belongs on pizza.", "Pineapple does not belong on pizza."),
    ),
    Motion(
        "books",
        "everyday taste",
        "en",
        "A book is better than its film",
        ("A book is better than its film.", "A film is better than its book."),
    ),
    Motion(
        "mars",
        "science",
        "en",
        "Sending humans to Mars is worth its cost",
        ("Sending humans to Mars is worth its cost.", "Sending humans to Mars is not worth its cost."),
    ),
    Motion(
        "genes",
        "science",
        "en",
        "Gene-edited crops should be grown in Europe",
        ("Gene-edited crops should be grown.", "Gene-edited crops should not be grown."),
    ),
    Motion(
        "telefonos",
        "policy",
        "es",
        "Las escuelas deberían prohibir los teléfonos móviles",
        (
            "Las escuelas deberían prohibir los teléfonos móviles.",
            "Las escuelas deberían permitir los teléfonos móviles.",
        ),
    ),
    Motion(
        "tempolimit",
        "policy",
        "de",
        "Auf Autobahnen soll ein Tempolimit gelten",
        ("Auf Autobahnen soll ein Tempolimit gelten.", "Auf Autobahnen soll kein Tempolimit gelten."),
    ),
    Motion(
        "yuancheng",
        "everyday taste",
        "zh",
        "远程办公比在办公室工作更好",
        ("远程办公比在办公室工作更好。", "在办公室工作比远程办公更好。"),
    ),
    Motion(
        "hayawanat",
        "ethics",
        "ar",
        "يجب حظر التجارب على الحيوانات",
        ("يجب حظر التجارب على الحيوانات.", "يجب السماح بالتجارب على الحيوانات."),
    ),
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
