"""`mmse ablate`: many arms on one published day. Reads what is published, publishes nothing; broken off, it goes on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.ablation.arguments import DESCRIPTION
from jobs.ablation.exam import set_exam
from jobs.ablation.plot import save_plot
from jobs.ablation.runs import INPUTS, run_all
from jobs.ablation.settings import AblationSettings, config_of, read_ablation
from jobs.ablation.table import markdown, report_of
from jobs.runtime.config import load_config
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.logs import say
from jobs.runtime.main import parse_day
from jobs.tuples.vocabulary import published_grains


def ablate(arguments: argparse.Namespace) -> int:
    """Runs the ablation and leaves its table, figures and plot below `<reports>/ablation/NAME/`."""
    ablation, name = read_ablation(arguments.config), Path(arguments.config).stem
    base = load_config(ablation.base, arguments.set)
    for arm in ablation.arms:
        config_of(ablation, base, arm, base.seed)  # an arm that cannot be is refused before the first is trained
    report: dict[str, Any] = {}
    folder = Path(base.paths.reports) / "ablation" / name
    job = Job("ablate", (*INPUTS, "judgments", "truth_requests"), (), runner(ablation, folder, report), doc=DESCRIPTION)
    run_job(job, base, parse_day(arguments.date))
    lines = list(markdown(report))
    (folder / "ablation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "ablation.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for line in [*lines, "", f"table: {folder / 'ablation.md'}  plot: {save_plot(folder / 'ablation.svg', report)}"]:
        say(line)
    return 0


def runner(ablation: AblationSettings, folder: Path, report: dict[str, Any]) -> Callable[[JobContext], None]:
    """The work between the published inputs and the report, which it fills."""

    def run(context: JobContext) -> None:
        grains = published_grains(context)
        exam = set_exam(context, grains, ablation.max_items)
        graded = run_all(context, ablation, exam, grains, folder / "runs")
        report.update(report_of(ablation, exam, graded, context.config.seed))
        context.notes["runs"] = len(graded)

    return run
