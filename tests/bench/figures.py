"""The shape of every figure that a benchmark measures, so that floors and Rostrum are compared like with like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEBATES = (1, 10, 100)
TURNS = 16
TURN_BYTES = 400


@dataclass(frozen=True)
class Figures:
    """What one run with a number of debates at once came to."""

    system: str
    debates: int
    turns: int
    p50_ms: float
    p99_ms: float
    turns_per_second: float
    cpu_ms_per_turn: float
    """CPU of all processes but the load generator's, per turn."""

    def as_json(self) -> dict[str, str | int | float]:
        """The same as plain values."""
        return asdict(self)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie; the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures(
    system: str, debates: int, latencies_seconds: Sequence[float], wall_seconds: float, cpu_seconds: float
) -> Figures:
    """Sums up one run."""
    turns = len(latencies_seconds)
    return Figures(
        system=system,
        debates=debates,
        turns=turns,
        p50_ms=round(percentile(latencies_seconds, 0.5) * 1000, 2),
        p99_ms=round(percentile(latencies_seconds, 0.99) * 1000, 2),
        turns_per_second=round(turns / wall_seconds, 1),
        cpu_ms_per_turn=round(cpu_seconds / turns * 1000, 2),
    )
