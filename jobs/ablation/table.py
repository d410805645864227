"""The table of an ablation: recall by arm with intervals over queries and seeds, and what each arm loses or gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.ablation.exam import Exam
from jobs.ablation.judged import measure_names
from jobs.ablation.runs import Graded
from jobs.ablation.settings import AblationSettings
from jobs.evaluation.questions import TRUTHS
from mmse_model.bootstrap import Interval
from mmse_model.two_level import two_level_interval

Floats = NDArray[np.float64]
BAND = (0.4, 0.7)
"""Ordered recall of `chooses_k` between which arms can be told apart (issue 5)."""
SURE = 0.99
"""Level of the intervals of differences."""


def values_of(graded: Sequence[Graded], arm: str, truth: str, k: int) -> Floats:
    """(R, Qt) recall of an arm's runs at the k-th cutoff, on the queries that have something relevant."""
    return _known([g.recall[TRUTHS.index(truth), k] for g in graded if g.arm == arm])


def judged_values(graded: Sequence[Graded], arm: str, measure: int) -> Floats:
    """(R, Jt) values of an arm's runs in the n-th measure of people's grades, on the queries that have something relevant."""
    return _known([g.judged[measure] for g in graded if g.arm == arm])


def _known(rows: Sequence[NDArray[np.float32]]) -> Floats:
    table = np.array(rows, np.float64)
    return table[:, ~np.isnan(table[0])]


def choose_cutoff(ks: Sequence[int], recalls: Sequence[float]) -> int:
    """Index of the smallest k whose recall is within BAND; of the nearest to it where there is none."""
    low, high = BAND
    distance = [max(low - r, r - high, 0.0) for r in recalls]
    return int(np.argmin(distance))


def report_of(ablation: AblationSettings, exam: Exam, graded: Sequence[Graded], seed: int) -> dict[str, Any]:
    """Every figure of the ablation, as plain values."""
    ks = ablation.ks
    at = choose_cutoff(ks, [values_of(graded, ablation.chooses_k, "ordered", n).mean() for n in range(len(ks))])
    seen = exam.seen
    return {
        "k": ks[at], "ks": list(ks), "catalogue": len(exam.dense_ids), "against": ablation.against,
        "chooses_k": ablation.chooses_k, "resamples": ablation.resamples, "level_of_differences": SURE,
        "queries": {t: int((exam.judgements[t].relevant > 0).sum()) for t in TRUTHS}, "unseen": int((~seen).sum()),
        "arms": [_arm(ablation, exam, graded, arm, at, seed) for arm in ablation.arms],
        "judged": None if exam.judged is None else _judged(ablation, exam.judged.grade, graded, seed),
    }


def _judged(ablation: AblationSettings, grade: float, graded: Sequence[Graded], seed: int) -> dict[str, Any]:
    """Means by people's grades for every arm, and its nDCG less that of `against`."""
    names = measure_names(ablation.ks)

    def row(arm: str) -> dict[str, Any]:
        values = [judged_values(graded, arm, n) for n in range(len(names))]
        difference = two_level_interval(values[0], ablation.resamples, seed, SURE, judged_values(graded, ablation.against, 0))
        return {
            "arm": arm, "seeds": len(values[0]),
            "means": [_plain(two_level_interval(v, ablation.resamples, seed)) for v in values],
            "difference": None if arm == ablation.against else _plain(difference),
        }

    queries = [judged_values(graded, ablation.against, n).shape[1] for n in (0, 1)]
    return {"grade": grade, "measures": list(names), "queries": queries, "arms": [row(arm) for arm in ablation.arms]}


def _arm(
    ablation: AblationSettings, exam: Exam, graded: Sequence[Graded], arm: str, at: int, seed: int
) -> dict[str, Any]:
    runs = [g for g in graded if g.arm == arm]

    def interval(truth: str, k: int) -> dict[str, float]:
        return _plain(two_level_interval(values_of(graded, arm, truth, k), ablation.resamples, seed))

    def difference(truth: str) -> dict[str, float]:
        ours, theirs = (values_of(graded, name, truth, at) for name in (arm, ablation.against))
        return _plain(two_level_interval(ours, ablation.resamples, seed, SURE, theirs)) | {
            "relative": float(ours.mean() / theirs.mean() - 1)
        }

    return {
        "arm": arm, "note": ablation.arms[arm].note, "seeds": len(runs), "epochs": [g.epoch for g in runs],
        "seconds": [round(g.seconds, 1) for g in runs],
        **{truth: [interval(truth, k) for k in range(len(ablation.ks))] for truth in TRUTHS},
        "unseen_ordered": _on(exam, runs, at, ~exam.seen), "seen_ordered": _on(exam, runs, at, exam.seen),
        "difference": None if arm == ablation.against else {truth: difference(truth) for truth in TRUTHS},
    }


def _on(exam: Exam, runs: Sequence[Graded], at: int, queries: NDArray[np.bool_]) -> float | None:
    """Mean ordered recall at the cutoff over some queries."""
    values = np.array([g.recall[TRUTHS.index("ordered"), at, queries] for g in runs], np.float64)
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _plain(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def markdown(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines of Markdown."""
    ks, at, queries = report["ks"], report["ks"].index(report["k"]), report["queries"]
    yield (
        f"{report['catalogue']:,} items; {queries['ordered']:,} queries with an order, {queries['clicked']:,} with a click; "
        f"exact search; 95 % intervals over queries and seeds."
    )
    yield ""
    yield "| arm | seeds | " + " | ".join(f"ordered@{k}" for k in ks) + " | " + " | ".join(f"clicked@{k}" for k in ks) + " |"
    yield "|---|---:|" + "---:|" * 2 * len(ks)
    for row in report["arms"]:
        cells = [f"{v['mean']:.3f} [{v['low']:.2f}, {v['high']:.2f}]" for truth in TRUTHS for v in row[truth]]
        yield f"| {row['arm']} | {row['seeds']} | " + " | ".join(cells) + " |"
    yield ""
    yield (
        f"At K = {report['k']}, the smallest cutoff at which {report['chooses_k']} finds 0.4-0.7 of the ordered items; "
        f"differences to {report['against']} with 99 % intervals."
    )
    yield ""
    yield "| arm | ordered | unseen queries | clicked | ordered, difference | clicked, difference | what it is |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for row in report["arms"]:
        unseen = "–" if row["unseen_ordered"] is None else f"{row['unseen_ordered']:.3f}"
        means = [f"{row[truth][at]['mean']:.3f}" for truth in TRUTHS]
        cells = [row["arm"], means[0], unseen, means[1], _change(row, "ordered"), _change(row, "clicked"), row["note"]]
        yield f"| {' | '.join(cells)} |"
    if report["judged"]:
        yield from _judged_lines(report["judged"], report["against"])


def _judged_lines(judged: dict[str, Any], against: str) -> Iterator[str]:
    gains, recalls = judged["queries"]
    yield ""
    yield (
        f"By people's grades: nDCG over {gains:,} judged queries, recall of items of grade {judged['grade']:g} or more over "
        f"{recalls:,}; nDCG less that of {against} with 99 % intervals."
    )
    yield ""
    yield f"| arm | seeds | {' | '.join(judged['measures'])} | difference |"
    yield "|---|---:|" + "---:|" * (len(judged["measures"]) + 1)
    for row in judged["arms"]:
        cells = [f"{v['mean']:.3f} [{v['low']:.2f}, {v['high']:.2f}]" for v in row["means"]]
        d = row["difference"]
        cells.append("–" if d is None else f"{d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]")
        yield f"| {row['arm']} | {row['seeds']} | {' | '.join(cells)} |"


def _change(row: dict[str, Any], truth: str) -> str:
    if row["difference"] is None:
        return "–"
    d = row["difference"][truth]
    return f"{d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}] ({d['relative']:+.1%})"
