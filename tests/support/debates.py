"""Two debates to be measured: one whose rounds only say the same again, one whose rounds each bring a new point.

Each is a list of rounds; a round is the turns of FOR and AGAINST. Tests of the redundancy measure and the end-to-end
tests of the stop reason use them, so that both speak of the same texts.
"""

from __future__ import annotations

PARAPHRASED: list[tuple[str, str]] = [
    (
        "AI creates more jobs than it destroys. New technology frees workers from boring routine tasks. "
        "People will move into better and more creative work.",
        "AI destroys more jobs than it creates. Millions of ordinary workers will be left without an income. "
        "Companies use it only to cut their costs.",
    ),
    (
        "More jobs are created by AI than are destroyed by it. Workers are freed from dull routine tasks by new "
        "technology. People are going to move into more creative and better work.",
        "More jobs are destroyed by AI than are created by it. Millions of ordinary workers will be left with "
        "no income. "
        "Companies only use it to cut costs.",
    ),
    (
        "The number of jobs that AI brings is larger than the number it takes. It relieves employees of tedious, "
        "repetitive duties. They will end up doing more interesting and creative work.",
        "AI takes away more jobs than it brings. Countless ordinary employees will lose their income. All "
        "that companies "
        "want from it is to lower their costs.",
    ),
    (
        "As I said, AI produces more jobs than it eliminates. Thanks to the technology, workers no longer do boring "
        "routine tasks. They go on to better, creative work.",
        "As I said, AI eliminates more jobs than it produces. Ordinary workers by the million will have no "
        "income left. "
        "For companies it is only a way to save costs.",
    ),
]
"""Nobody says anything after round 1: rounds 2, 3 and 4 are redundant."""

FRESH: list[tuple[str, str]] = [
    (
        "AI creates more jobs than it destroys. Software firms in Bangalore hired forty thousand people for "
        "it last year.",
        "AI destroys more jobs than it creates. Call centres in Manila have already sent half of their staff home.",
    ),
    (
        "Nurses win most of all. A hospital in Lyon lets software write the records, so each nurse has an "
        "hour more for "
        "patients.",
        "The young lose most. Law firms no longer take trainees, because a program reads the contracts that beginners "
        "once learned on.",
    ),
    (
        "Farming shows it best. Sensors tell growers in Kenya when to water, and the harvest pays for two "
        "more pickers.",
        "Look at translators. Publishers now pay a third of the old fee for correcting what a machine has written.",
    ),
    (
        "History is on our side. When cash machines came, banks opened more branches and the number of tellers rose.",
        "The handloom weavers of 1820 never recovered. Their grandchildren were better off, but they "
        "themselves died poor.",
    ),
    (
        "Prices fall when production gets cheaper. Families spend what they save on restaurants, travel and repairs.",
        "Profits go to whoever owns the data centres. Five companies take the gain, and the tax base of towns shrinks.",
    ),
    (
        "In ten years a shrinking population will need every helping hand. Japan already lacks drivers, carers and "
        "welders.",
        "Regulators are a decade behind. Nobody can appeal today when an algorithm rejects a job application.",
    ),
    (
        "Evening courses work. Denmark retrains one worker in four each year, and most earn more afterwards.",
        "A lorry driver of fifty-eight with a mortgage does not become a data scientist. Pensions are cut by "
        "each lost year.",
    ),
    (
        "Blind and deaf people enter offices that were closed to them. Captions and readers open whole professions.",
        "Being watched by a camera that counts keystrokes makes people ill. Sick leave in such warehouses has doubled.",
    ),
]
"""Each round has an argument or example that no earlier one had: no round is redundant."""
