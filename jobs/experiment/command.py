"""`mmse experiment`: two releases, one market. Reads what is published, publishes nothing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from jobs.experiment.gather import open_market, pages_of_sides, read_visits
from jobs.experiment.plot import save_plot
from jobs.experiment.printed import printed
from jobs.experiment.releases import Side, open_side
from jobs.experiment.replay import replays, stage
from jobs.experiment.report import LABEL, aa_figures, finite, metric_figures, page_figures, population_figures
from jobs.report.published import Published
from jobs.runtime.config import Config
from jobs.runtime.logs import say
from jobs.runtime.main import parse_day


def experiment(config: Config, arguments: argparse.Namespace) -> int:
    """Runs the experiment, prints it, and leaves it as JSON and as a plot below `<reports>/experiment/`."""
    a, b = open_side(config, arguments.a), open_side(config, arguments.b)
    days = replayed_days(config, parse_day(arguments.date or max(a.day, b.day)))
    report = finite(run(config, a, b, days, arguments.aa))
    name = Path(config.paths.reports) / "experiment" / f"{days[-1]}-{a.run}-{b.run}"
    plot = save_plot(name.with_suffix(".svg"), report)
    text = json.dumps(report, indent=1)
    name.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    for line in [text] if arguments.json else [*printed(report), f"plot: {plot}"]:
        say(line)
    return 0


def run(config: Config, a: Side, b: Side, days: list[str], aa: int) -> dict[str, Any]:
    """Everything between the releases and the report."""
    published, settings = Published(config), config.experiment
    market = open_market(published)
    visits, everybody = read_visits(config, published, market, days)
    k = settings.candidates or market.settings.ranker.pool
    pages = pages_of_sides(published, market, visits, [a, b], k)
    on = stage(visits, *pages, market.settings.behaviour, config.seed)
    outcome = replays(on, 0, settings.copies)
    same = stage(visits, pages[0], pages[0], market.settings.behaviour, config.seed) if aa else None
    return {
        "simulation": True, "label": LABEL, "days": days, "seed": config.seed, "market_seed": market.seed,
        "candidates": k, "copies": settings.copies, "alpha": settings.alpha,
        **{name: {**described(side, a, b), "pages": page_figures(shown)} for name, side, shown in zip("ab", (a, b), pages)},
        "population": {**population_figures(visits, outcome, settings.copies), "all_users": everybody},
        "notes": list(notes(a, b, days)), "metrics": metric_figures(on, outcome, settings),
        "aa": aa_figures(same, aa, settings) if same else None,
    }


def described(side: Side, *sides: Side) -> dict[str, Any]:
    """Which release a side is; the warehouse is part of its name where the sides' differ."""
    warehouses = {s.warehouse for s in sides}
    prefix = f"{side.warehouse}:" if len(warehouses) > 1 else ""
    return {"name": f"{prefix}{side.day} run {side.run}", "day": side.day, "run": side.run, "vectors": side.vectors}


def notes(a: Side, b: Side, days: list[str]) -> Iterator[str]:
    """What whoever reads the figures must know."""
    if a.key == b.key:
        yield "A and B are the same release: an A/A experiment, there is nothing to find"
    for name, side in (("A", a), ("B", b)):
        if days[0] <= side.last_seen.isoformat():
            yield f"the model of {name} has seen days up to {side.last_seen}: {days[0]} is no test for it"


def replayed_days(config: Config, day: date) -> list[str]:
    """The test days that end at the date, ascending; the date itself where the configuration sets none aside."""
    return [(day - timedelta(days=n)).isoformat() for n in reversed(range(max(1, config.tuples.test_days)))]
