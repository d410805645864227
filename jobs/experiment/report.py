"""The figures of an experiment as one JSON object; `simulation` and `label` say in it what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np

from jobs.experiment.analysis import METRICS, Judged, false_positives, judge
from jobs.experiment.ranker import Offers
from jobs.experiment.ratios import paired_difference
from jobs.experiment.replay import Outcome, Stage, expected
from jobs.experiment.utility import NO_ITEM
from jobs.experiment.visits import Visits
from jobs.runtime.experiment_section import ExperimentSettings

LABEL = "simulated people of a simulated market, no real ones; see docs/EXPERIMENT.md"


def metric_figures(on: Stage, outcome: Outcome, settings: ExperimentSettings) -> dict[str, Any]:
    """For each metric: the fixed-horizon test, the sequential one with every look, and the expected difference."""
    means = dict(zip(("clicks", "orders"), expected(on)))
    return {
        metric: {**tests(judge(outcome, metric, settings), settings.alpha), "expected": truth(means[counted], on, settings.alpha)}
        for metric, counted in METRICS.items()
    }


def tests(judged: Judged, alpha: float) -> dict[str, Any]:
    """Both tests of one metric."""
    stopped, last, half = judged.stopped_at(alpha), float(judged.difference[-1]), float(judged.half[-1])
    return {
        "fixed": asdict(judged.at_the_end(alpha)),
        "sequential": {
            "difference": last, "low": last - half, "high": last + half, "p": float(judged.always_valid[-1]),
            "stopped_at": stopped, "users": None if stopped is None else int(judged.users[stopped - 1]),
        },
        "looks": [
            {"users": int(users), "difference": float(d), "half": float(h), "p": float(p)}
            for users, d, h, p in zip(judged.users, judged.difference, judged.half, judged.always_valid)
        ],
    }


def truth(means: np.ndarray, on: Stage, alpha: float) -> dict[str, float]:
    """What the truth expects if everybody were on one side, (2, U) per user: free of assignment and luck, not of who came."""
    a, b = (float(side.sum() / on.sessions.sum()) for side in means)
    difference, low, high = paired_difference(*means, on.sessions, alpha)
    return {"a": a, "b": b, "difference": difference, "low": low, "high": high}


def population_figures(visits: Visits, outcome: Outcome, copies: int) -> dict[str, int]:
    """Who took part; copies of everybody count as users, sessions and requests of their own."""
    return {
        "users": len(visits.user_key), "sessions": int(outcome.sessions.sum()), "requests": len(visits.user) * copies,
        "queries": len(visits.texts), "users_a": int((~outcome.treated).sum()), "users_b": int(outcome.treated.sum()),
    }


def aa_figures(same: Stage, repeats: int, settings: ExperimentSettings) -> dict[str, Any]:
    """False positives of A against itself."""
    rates, seconds = false_positives(same, repeats, settings)
    return {"repeats": repeats, "seconds": round(seconds, 1), "rates": {metric: asdict(r) for metric, r in rates.items()}}


def page_figures(pages: Offers) -> dict[str, float]:
    """What a side shows: items per page, and over them the mean probabilities and the share the truth does not know."""
    shown = pages.item != NO_ITEM
    count = max(1, int(shown.sum()))
    return {
        "items": float(shown.sum() / max(1, len(shown))), "click": float(pages.click.sum() / count),
        "order": float(pages.order.sum() / count), "unknown": float((shown & (pages.click == 0)).sum() / count),
    }


def finite(value: Any) -> Any:
    """The same with null for what is no finite number: JSON has no word for it."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value
