"""publish_release: names the model, items, embeddings and index that are served together from now on.

Nothing is copied. A release is refused where a part was made from another run than the one
published beside it, and where recall, coverage or the catalogue falls too far below the release in force.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.index.drops import Drop, drops
from jobs.index.parts import disagreements, model_day, ordered_recall, recall_rows
from jobs.runtime.job import Job, JobContext
from jobs.runtime.logs import log, say
from jobs.runtime.main import main
from jobs.runtime.manifest import Manifest

FORMAT = 1
RELEASE_FILE = "release.json"
RUNS_FILE = "runs.json"
"""Which run each part is: it changes when the same content is published again, and is left out of the content hash."""


def published_parts(context: JobContext) -> dict[str, Manifest]:
    """The manifests of what would be served, and of the evaluation that speaks for it."""
    names = ("items", "embeddings", "index", "evaluation")
    return {"model": context.manifest("model", model_day(context)), **{name: context.manifest(name) for name in names}}


def describe(parts: dict[str, Manifest]) -> dict[str, Any]:
    """What release.json says: contents and figures, no run ids, so that equal content gives an equal file."""
    return {
        "format": FORMAT,
        "parts": {name: {"dt": m.dt, "content_hash": m.content_hash} for name, m in parts.items()},
        "numbering": parts["embeddings"].facts["numbering"],
        "dimension": parts["embeddings"].facts["dimension"],
        "vectors": parts["index"].rows,
        "k": parts["evaluation"].facts["k"],
        "recall": recall_rows(parts["evaluation"].facts),
        "recall_vs_exact": parts["index"].facts["recall_vs_exact"],
        "coverage": served_coverage(parts["evaluation"].facts),
    }


def served_coverage(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """k and the share of the catalogue among the first k of any query, by the index as it is served."""
    rows = [row for row in facts.get("coverage", ()) if (row["system"], row["search"]) == ("mmse", "ann")]
    return {"k": rows[0]["k"], "share": rows[0]["share"]} if rows else None


def falls(context: JobContext, release: dict[str, Any]) -> list[Drop]:
    """How far each figure lies below the release in force, the newest up to the date; what is too far is said."""
    days = [day for day in context.entry.days("release") if day <= context.dt]
    before = context.manifest("release", days[-1]).facts if days else None
    found = list(drops(before, release, context.config.release))
    for fall in found:
        if days:
            log("compared", metric=fall.metric, drop=round(fall.drop, 6), before=days[-1], limit=fall.limit)
        if fall.over:
            say(f"publish_release: {fall.sentence(days[-1])}")
    return found


def run(context: JobContext) -> None:
    """Compares the parts and the recall, and writes two small files; the audit decides."""
    parts = published_parts(context)
    wrong = list(disagreements(parts))
    for sentence in wrong:
        say(f"publish_release: {sentence}")
    release = describe(parts)
    found = falls(context, release)
    runs = {name: {"dt": m.dt, "run": m.run_id} for name, m in parts.items()}

    def fill(folder: Path) -> None:
        for name, body in ((RELEASE_FILE, release), (RUNS_FILE, runs)):
            (folder / name).write_text(json.dumps(body, indent=1, sort_keys=True), encoding="utf-8")

    metrics = {
        "parts_that_disagree": float(len(wrong)),
        **{fall.metric: fall.drop for fall in found}, **{f"{fall.metric}_over_limit": fall.over for fall in found},
    }
    context.write_files(
        "release", fill, facts={**release, "runs": runs, "disagreements": wrong, "rows": release["vectors"]},
        metrics=metrics, volatile=(RUNS_FILE,),
    )
    recall = ordered_recall(release["recall"]).get(release["k"])
    if recall is not None:
        context.notes[f"ordered recall@{release['k']}"] = f"{recall:.3f}"


JOB = Job(
    "publish_release", reads=("items", "model", "embeddings", "index", "evaluation", "release"), writes=("release",),
    run=run, doc="Names the parts that are served together.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
