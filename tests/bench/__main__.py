"""`make bench`: one table, all measured in this run on this machine; as JSON too in the file that BENCH_OUT names."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tests.bench import debates, grpc_floor, kafka_floor, kafka_hop
from tests.bench.figures import DEBATES, TURN_BYTES, TURNS, Figures
from tests.support.broker import home_access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.system import System

GOALS = {
    "p50 of a turn against the Kafka floor, 1 debate": ("p50_ms", 1, 1.6, "at most"),
    "turns/s against the Kafka floor, 1 debate": ("turns_per_second", 1, 0.7, "at least"),
    "turns/s against the Kafka floor, 100 debates": ("turns_per_second", 100, 0.6, "at least"),
}


def _ratios(mine: Sequence[Figures], floor: Sequence[Figures]) -> dict[str, dict[str, Any]]:
    found = {}
    for title, (field, count, goal, bound) in GOALS.items():
        values = [next(getattr(row, field) for row in rows if row.debates == count) for rows in (mine, floor)]
        ratio = round(values[0] / values[1], 2)
        met = ratio <= goal if bound == "at most" else ratio >= goal
        found[title] = {"ratio": ratio, "goal": f"{bound} {goal}", "met": met}
    return found


def _table(rows: Sequence[Figures]) -> Table:
    table = Table(title=f"{TURNS} turns of {TURN_BYTES} bytes a debate, model of zero latency")
    for heading in ("system", "debates", "turns", "p50 ms", "p99 ms", "turns/s", "CPU ms/turn"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.as_json().values()))
    return table


def main() -> None:
    """Measures, prints, and writes BENCH_OUT."""
    console = Console()
    console.print(f"The gRPC floor with {', '.join(map(str, DEBATES))} debates at once ...")
    grpc_rows = grpc_floor.run()
    console.print("A Kafka hop with and without TLS ...")
    hop_rows = kafka_hop.run()
    console.print("The Kafka floor and Rostrum on one broker ...")

    def floor(system: System) -> list[Figures]:
        broker = system.pod("kafka-0")
        return kafka_floor.run(home_access(system.home, broker["addresses"][0]), broker_pid=int(broker["pid"]))

    mine, values, kafka_rows = debates.run(floor)
    ratios = _ratios(mine, kafka_rows)
    console.print(_table([*grpc_rows, *hop_rows, *kafka_rows, *mine]))
    for title, row in ratios.items():
        console.print(f"{title}: {row['ratio']} (goal {row['goal']}: {'met' if row['met'] else 'NOT met'})")
    console.print(f"start to the first turn: {values['first_turn_seconds']} s (goal at most 5)")
    for name, value in values.items():
        if name.endswith("_rss_mib"):
            console.print(f"{name.removesuffix('_rss_mib')}: {value} MiB resident")
    if out := os.environ.get("BENCH_OUT"):
        result = {
            "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.platform()},
            "rows": [row.as_json() for row in (*grpc_rows, *hop_rows, *kafka_rows, *mine)],
            "ratios": ratios,
            "values": values,
        }
        Path(out).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        console.print(f"written to {out}")


if __name__ == "__main__":
    main()
