"""A day's figures beside those of the days before: ratios, differences, shifts of distributions. Read from manifests alone.

A check names such a figure by what it is made of: `rows:of_weekday`, `bot_share:above_week`, `by_hour:missing`.

    FIGURE:of_weekday     by the median of the same weekday in the 28 days before
    FIGURE:of_week        by the median of the 7 days before
    FIGURE:of_day_before  by the newest day before
    FIGURE:above_week     less the median of the 7 days before
    DISTRIBUTION:psi      population stability index against the 7 days before together
    DISTRIBUTION:missing  bins that have hardly anything, though as many rows as tell were to be expected

Without enough days before, or enough rows on them, there is no such figure, and nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from jobs.runtime import store
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import Entry, Key

DAYS = 28
WEEK = 7
FEWEST = 3
"""Days of the last seven that a median or a distribution rests on."""
TELLING = 50
"""Expected rows, of a bin or a day, from which on their absence says something (issue 7)."""
PER_BIN = 10
"""Rows per bin, on average, from which on two distributions can be told apart from chance."""
HARDLY = 0.1
"""Share of the expected rows below which a bin is missing."""

Figures = Mapping[str, float]
Past = Sequence[tuple[str, Figures]]
"""(dt, figures) of days before, ascending; days without rows are left out."""


def past_days(warehouse: Path, entry: Entry, dataset: str, dt: str, own: Mapping[Key, Manifest] | None = None) -> Past:
    """The published days of the 28 before `dt`, and those of a run's `own` outputs, which go first."""
    found = []
    for n in range(DAYS, 0, -1):
        day = (date.fromisoformat(dt) - timedelta(days=n)).isoformat()
        manifest = (own or {}).get((dataset, day)) or _published(warehouse, entry, dataset, day)
        if manifest is not None and manifest.rows:
            found.append((day, {"rows": float(manifest.rows), **manifest.metrics}))
    return found


def _published(warehouse: Path, entry: Entry, dataset: str, day: str) -> Manifest | None:
    run = entry.run(dataset, day)
    return None if run is None else Manifest.read(store.run_folder(warehouse, dataset, day, run))


def is_compared(metric: str) -> bool:
    """Whether a check's figure is one that is made here."""
    return metric.rpartition(":")[2] in KINDS


def compare(metric: str, dt: str, today: Figures, past: Past) -> float | None:
    """The compared figure of a day; None where there are too few days before."""
    name, _, kind = metric.rpartition(":")
    return KINDS[kind](name, dt, today, past)


def same_weekday(dt: str, past: Past) -> list[Figures]:
    """The days before of the weekday of `dt`."""
    weekday = date.fromisoformat(dt).weekday()
    return [figures for day, figures in past if date.fromisoformat(day).weekday() == weekday]


def last_week(dt: str, past: Past) -> list[Figures]:
    """Those of the seven days before that there are; none where they are fewer than FEWEST."""
    first = (date.fromisoformat(dt) - timedelta(days=WEEK)).isoformat()
    found = [figures for day, figures in past if first <= day < dt]
    return found if len(found) >= FEWEST else []


def middle(name: str, days: Sequence[Figures]) -> float | None:
    """The median of a figure over the days that have it; None without one, and for rows where they are too few to tell."""
    values = [figures[name] for figures in days if name in figures]
    found = median(values) if values else None
    return None if name == "rows" and (found or 0) < TELLING else found


def ratio(value: float | None, before: float | None) -> float | None:
    """value / before. A figure that is gone counts as 0; None where there was nothing to divide by."""
    return (value or 0.0) / before if before else None


def of_weekday(name: str, dt: str, today: Figures, past: Past) -> float | None:
    """Ratio to the median of the same weekday."""
    return ratio(today.get(name), middle(name, same_weekday(dt, past)))


def of_week(name: str, dt: str, today: Figures, past: Past) -> float | None:
    """Ratio to the median of the week before."""
    return ratio(today.get(name), middle(name, last_week(dt, past)))


def of_day_before(name: str, dt: str, today: Figures, past: Past) -> float | None:
    """Ratio to the newest day before."""
    return ratio(today.get(name), middle(name, [figures for _, figures in past[-1:]]))


def above_week(name: str, dt: str, today: Figures, past: Past) -> float | None:
    """Difference to the median of the week before."""
    before = middle(name, last_week(dt, past))
    return None if before is None else today.get(name, 0.0) - before


def psi(name: str, dt: str, today: Figures, past: Past) -> float | None:
    """Population stability index of a distribution against the week before; None where either has too few rows."""
    days = [bins_of(name, figures) for figures in last_week(dt, past)]
    together = [sum(column) for column in zip(*days)] if days else []
    now = bins_of(name, today)
    enough = now and len(now) == len(together) and min(sum(now), sum(together)) >= PER_BIN * len(now)
    return stability(now, together) if enough else None


def stability(now: Sequence[float], before: Sequence[float]) -> float:
    """sum over bins of (p - q) ln(p / q), p and q shares with half a row added to every bin, less what chance alone gives.

    Between two samples of n and m rows of one distribution over B bins the index is (B - 1) (1/n + 1/m) on average (Yurdakul
    and Naranjo 2020): that is taken off, so that small days are no drift. 0 at least.
    """
    n, m, bins = sum(now), sum(before), len(now)
    p = [(count + 0.5) / (n + 0.5 * bins) for count in now]
    q = [(count + 0.5) / (m + 0.5 * bins) for count in before]
    index = sum((a - b) * math.log(a / b) for a, b in zip(p, q))
    return max(0.0, index - (bins - 1) * (1 / n + 1 / m))


def missing(name: str, dt: str, today: Figures, past: Past) -> float | None:
    """Bins with less than HARDLY of the least that the days before had, where that is TELLING.

    The least of the same weekdays and the week before: a shop that is closed on Sundays misses nothing then, and events come in
    lumps of a visit each, so that a median of 60 in an hour of the night is some days none.
    """
    weekday, week = same_weekday(dt, past), last_week(dt, past)
    if not week and len(weekday) < FEWEST:
        return None
    known = [found for figures in (*weekday, *week) if (found := bins_of(name, figures))]
    if not known:
        return None
    expected = [min(bins) for bins in zip(*known)]
    now = bins_of(name, today) or [0.0] * len(expected)
    return float(sum(e >= TELLING and n < HARDLY * e for n, e in zip(now, expected)))


def bins_of(name: str, figures: Figures) -> list[float]:
    """The rows of every bin of a distribution, in order; nothing where it was not measured."""
    found = []
    while (key := f"{name}:{len(found):02d}") in figures:
        found.append(figures[key])
    return found


KINDS: dict[str, Callable[[str, str, Figures, Past], float | None]] = {
    "of_weekday": of_weekday, "of_week": of_week, "of_day_before": of_day_before, "above_week": above_week, "psi": psi,
    "missing": missing,
}
