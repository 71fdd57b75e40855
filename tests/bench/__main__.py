"""`make bench`: one table, all measured in this run on this machine; as JSON too in the file that BENCH_OUT names.

To compare two trees, by turns: `python -m tests.bench --only debates` measures debates alone, in a minute, `--only
start` how long it takes to the first turn, and `--only embedded` how fast the embedded model writes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tests.bench import (
    applying,
    debates,
    embedded,
    grpc_floor,
    ingress,
    kafka_floor,
    kafka_hop,
    sidecars,
    start,
    translation,
)
from tests.bench.figures import DEBATES, TURN_BYTES, TURNS, Figures
from tests.support.broker import home_access

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.system import System

GOALS = {
    "p50 of a turn against the Kafka floor, 1 debate": ("p50_ms", 1, 1.6, "at most"),
    "turns/s against the Kafka floor, 1 debate": ("turns_per_second", 1, 0.7, "at least"),
    "turns/s against the Kafka floor, 100 debates": ("turns_per_second", 100, 0.6, "at least"),
}


MACHINE = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.platform()}

VALUE_GOALS = {
    "first_turn_seconds": 5.0,
    "sidecar pair, added at p50, ms": sidecars.ADDED_MS,
    "apply until active, p99, ms": applying.P99_MS,
    f"translation of {translation.SERVICES[-1]:,} services, s": translation.SECONDS,
    "translation, growth a service": translation.GROWTH,
}
"""The most that each is to be."""

LEAST_GOALS = {"embedded model, share left beside a busy process": embedded.SHARE}
"""The least that each is to be."""


def _ratios(mine: Sequence[Figures], floor: Sequence[Figures]) -> dict[str, dict[str, Any]]:
    found = {}
    for title, (field, count, goal, bound) in GOALS.items():
        values = [next(getattr(row, field) for row in rows if row.debates == count) for rows in (mine, floor)]
        ratio = round(values[0] / values[1], 2)
        met = ratio <= goal if bound == "at most" else ratio >= goal
        found[title] = {"ratio": ratio, "goal": f"{bound} {goal}", "met": met}
    return found


def _table(rows: Sequence[Figures]) -> Table:
    # A call or a hop of the rows that hold no debates is a turn there.
    table = Table(title=f"{TURNS} turns of {TURN_BYTES} bytes a debate, model of zero latency")
    for heading in ("system", "debates", "turns", "p50 ms", "p99 ms", "turns/s", "CPU ms/turn"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.as_json().values()))
    return table


def _value_goals(values: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": values[name], "goal": f"at most {most:g}", "met": values[name] <= most}
        for name, most in VALUE_GOALS.items()
    }


def _least_goals(values: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": values[name], "goal": f"at least {least:g}", "met": values[name] >= least}
        for name, least in LEAST_GOALS.items()
    }


def _values_table(values: Mapping[str, float], goals: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title="one by one")
    for heading in ("what", "value", "goal"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name, value in values.items():
        goal = goals.get(name)
        said = "" if goal is None else f"{goal['goal']}: {'met' if goal['met'] else 'NOT met'}"
        table.add_row(_title(name), str(value), said)
    return table


def _title(name: str) -> str:
    if name.endswith("_rss_mib"):
        return f"{name.removesuffix('_rss_mib')}, RSS MiB"
    return "start to the first turn, s" if name == "first_turn_seconds" else name


def main() -> None:
    """Measures, prints, and writes BENCH_OUT."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures Rostrum on this machine.")
    parser.add_argument("--only", choices=["debates", "embedded", "start"], help="one part alone")
    console = Console()
    match parser.parse_args().only:
        case "debates":
            _measure_debates(console)
        case "start":
            _measure_start(console)
        case "embedded":
            _measure_embedded(console)
        case _:
            _measure_all(console)


def _measure_start(console: Console) -> None:
    values = start.run()
    console.print(_values_table(values, {}))
    _write({"machine": MACHINE, "values": values}, console)


def _measure_embedded(console: Console) -> None:
    values = embedded.run()
    console.print(_values_table(values, _least_goals(values)))
    _write({"machine": MACHINE, "values": values}, console)


def _measure_debates(console: Console) -> None:
    rows, values, _ = debates.run(lambda _system: None)
    console.print(_table(rows))
    console.print(_values_table(values, {}))
    _write({"machine": MACHINE, "rows": [row.as_json() for row in rows], "values": values}, console)


def _write(result: Mapping[str, Any], console: Console) -> None:
    if out := os.environ.get("BENCH_OUT"):
        Path(out).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        console.print(f"written to {out}")


def _measure_all(console: Console) -> None:
    console.print(f"The gRPC floor with {', '.join(map(str, DEBATES))} debates at once ...")
    grpc_rows = grpc_floor.run()
    console.print("A Kafka hop with and without TLS ...")
    hop_rows = kafka_hop.run()
    console.print("Calls through a pair of sidecars ...")
    sidecar_rows, sidecar_values = sidecars.run()
    console.print(f"Translating up to {translation.SERVICES[-1]:,} services ...")
    translations = translation.run()
    console.print("The embedded model alone and beside a busy process ...")
    embedded_values = embedded.run()
    console.print("The Kafka floor, the ingress, changes and Rostrum in one system ...")

    def while_up(system: System) -> tuple[list[Figures], list[Figures], dict[str, float]]:
        broker = system.pod("kafka-0")
        floor = kafka_floor.run(home_access(system.home, broker["addresses"][0]), broker_pid=int(broker["pid"]))
        ingress_rows, ingress_values = ingress.run(system)
        return floor, ingress_rows, {**ingress_values, **applying.run(system)}

    mine, values, (kafka_rows, ingress_rows, more_values) = debates.run(while_up)
    values |= {**sidecar_values, **more_values, **translation.values(translations), **embedded_values}
    ratios, goals = _ratios(mine, kafka_rows), {**_value_goals(values), **_least_goals(values)}
    rows = [*grpc_rows, *sidecar_rows, *ingress_rows, *hop_rows, *kafka_rows, *mine]
    console.print(_table(rows))
    console.print(_values_table(values, goals))
    for title, row in ratios.items():
        console.print(f"{title}: {row['ratio']} (goal {row['goal']}: {'met' if row['met'] else 'NOT met'})")
    result = {
        "machine": MACHINE,
        "rows": [row.as_json() for row in rows],
        "translation": [row.as_json() for row in translations],
        "ratios": ratios,
        "goals": goals,
        "values": values,
    }
    _write(result, console)


if __name__ == "__main__":
    main()
