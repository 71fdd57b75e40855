"""`make quality`: holds debates on twelve motions with one model, and prints how well they are argued.

MODEL, MOTIONS (a number, or ids with commas), ROUNDS, JUDGE and QUALITY_OUT (a folder) come from the environment, as
make passes them. The folder keeps each debate's record, figures.json, and the judge's word on each turn: what is there
is not held again, so that a run goes on where it was stopped, and another judge costs only its own time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mesh.llm.novelty import find_sentences
from mesh.llm.select import ModelNameError, parse
from tests.quality import holding, judging, measures
from tests.quality.labels import Calibration
from tests.quality.measures import Held, Share
from tests.quality.motions import choose_motions
from tests.support.embedded import served

SIMILARITY = 0.92
"""The default of DebateSettings.sentence_similarity: from there on a sentence says nothing new."""

GOALS = {
    "argue their own side": "at least 90 %",
    "answer the opponent": "at least 70 %",
    "4-grams shared with other motions": "at most 5 %",
    "forfeits": "under 3 %",
}


def main() -> None:
    """Runs it."""
    model = os.environ.get("MODEL") or "embedded"
    judge = os.environ.get("JUDGE") or "embedded"
    folder = Path(os.environ.get("QUALITY_OUT") or f".quality/{model.replace(':', '-').replace('/', '-')}").absolute()
    try:
        motions = choose_motions(os.environ.get("MOTIONS", ""))
        parse(model), parse(judge)
        rounds = int(os.environ.get("ROUNDS") or 3)
    except (ModelNameError, ValueError) as error:
        raise SystemExit(f"quality: {error}") from None
    try:
        holding.hold_debates(motions, folder, model, rounds)
    except RuntimeError as error:
        raise SystemExit(f"quality: {error}") from None
    debates = [Held(motion, holding.load_record(folder, motion)) for motion in motions]
    points = _count_points(debates)
    verdicts, agreement = judging.judge_debates(debates, judge, folder)
    rows = [_row(debate, points[debate.motion.id], verdicts) for debate in debates]
    total = _total(rows)
    shared, frequent = measures.count_shared_grams(debates)
    figures = {
        "model": model,
        "judge": judge,
        "rounds": rounds,
        "total": {**_plain(total), "4-grams shared with other motions": shared.percent},
        "motions": {debate.motion.id: _plain(row) for debate, row in zip(debates, rows, strict=True)},
        "shared most": dict(frequent),
        "agreement of the judge with the labels": {
            name: _plain_calibration(found) for name, found in agreement.items()
        },
        "goals": GOALS,
    }
    (folder / "figures.json").write_text(json.dumps(figures, ensure_ascii=False, indent=1), "utf-8")
    _print(model, judge, debates, rows, total, shared, frequent, agreement)
    sys.stdout.write(f"Records, verdicts and figures.json: {folder}\n")


def _count_points(debates: Sequence[Held]) -> dict[str, list[int]]:
    """Returns the new points of each spoken turn, by the motion's id, by the embedding model that Rostrum has."""
    import httpx2  # noqa: PLC0415 - only here

    found = {}
    with served("mesh.llm.embedded.embedding_server") as url, httpx2.Client(trust_env=False, timeout=600) as client:
        for debate in debates:
            vectors = []
            for turn in debate.spoken:
                sentences = find_sentences(turn["text"], debate.motion.language)
                rows = []
                if sentences:
                    body = {"model": "any", "input": sentences, "encoding_format": "float"}
                    rows = [row["embedding"] for row in client.post(f"{url}/embeddings", json=body).json()["data"]]
                vectors.append(np.asarray(rows, dtype=np.float32))
            found[debate.motion.id] = measures.count_new_points(vectors, SIMILARITY)
    return found


def _row(debate: Held, points: Sequence[int], verdicts: Mapping[str, judging.Verdict]) -> dict[str, Any]:
    mine = [verdicts[turn["name"]] for turn in debate.spoken]
    followed = [verdict.answers for verdict in mine if verdict.answers is not None]
    return {
        "argue their own side": Share(sum(verdict.own_side for verdict in mine), len(mine)),
        "answer the opponent": Share(sum(followed), len(followed)),
        "new points": sum(points),
        "language kept": measures.count_language_kept(debate),
        "forfeits": measures.count_forfeits(debate),
        "tokens": int(debate.record.get("tokens_spent", 0)),
        "seconds": float(debate.record.get("seconds", 0)),
    }


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: measures.add_shares([row[name] for row in rows])
        if isinstance(rows[0][name], Share)
        else round(sum(row[name] for row in rows), 1)
        for name in rows[0]
    }


def _new_points(row: Mapping[str, Any]) -> float:
    turns = row["language kept"].all
    return round(row["new points"] / turns, 1) if turns else 0.0


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"percent": value.percent, **dataclasses.asdict(value)} if isinstance(value, Share) else value
        for name, value in {**row, "new points a turn": _new_points(row)}.items()
    }


def _plain_calibration(calibration: Calibration) -> dict[str, Any]:
    found = calibration.agreement
    return {
        "threshold": round(calibration.threshold, 3),
        "agreed": f"{found.agreed}",
        "balanced percent": found.balanced_percent,
        "labelled yes": f"{found.labelled_yes}",
        "judged yes": f"{found.judged_yes}",
    }


def _print(
    model: str,
    judge: str,
    debates: Sequence[Held],
    rows: Sequence[Mapping[str, Any]],
    total: Mapping[str, Any],
    shared: Share,
    frequent: Sequence[tuple[str, int]],
    agreement: Mapping[str, Calibration],
) -> None:
    console = Console(width=150)
    table = Table(title=f"Debates held with {model}, judged by {judge}")
    headings = ("motion", "kind", "own side", "answers", "new points a turn", "language", "forfeits", "tokens", "s")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"motion", "kind"} else "right")
    named = [(debate.motion.topic, f"{debate.motion.kind}, {debate.motion.language}") for debate in debates]
    for (topic, kind), row in [*zip(named, rows, strict=True), (("all", ""), total)]:
        shares = [row["argue their own side"], row["answer the opponent"]]
        table.add_row(
            *(topic, kind, *(f"{share.some}/{share.all}" for share in shares), f"{_new_points(row):g}"),
            *(f"{share.some}/{share.all}" for share in (row["language kept"], row["forfeits"])),
            *(f"{row['tokens']:,.0f}", f"{row['seconds']:,.0f}"),
        )
    console.print(table)
    measured = {**total, "4-grams shared with other motions": shared}
    for name, goal in GOALS.items():
        console.print(f"{name}: {measured[name]}; goal: {goal}", highlight=False)
    if frequent:
        console.print("4-grams shared most: " + "; ".join(f"{gram} ({count})" for gram, count in frequent))
    for name, calibration in agreement.items():
        found = calibration.agreement
        console.print(
            f"The judge agrees with the labels on whether a turn {name}: {found.agreed}; balanced "
            f"{found.balanced_percent:.0f} %; yes: labelled {found.labelled_yes}, judged {found.judged_yes}",
            highlight=False,
        )


if __name__ == "__main__":
    main()
