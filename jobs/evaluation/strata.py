"""Recall of groups of queries: by traffic, length and category, and by whether training saw the query and the item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.evaluation.comparison import Run, Values, measure_runs
from jobs.evaluation.lexical import words
from mmse_model.bootstrap import bootstrap_intervals
from mmse_model.metrics import Judgements, Recall

Mask = NDArray[np.bool_]
LONGEST = 4
"""Words from which on queries are counted as one group."""
CATEGORIES = 10
"""Largest categories that are told apart."""
UNSEEN = "unseen"


def traffic_strata(frequency: NDArray[np.int64], histogram: Sequence[tuple[int, int]]) -> list[str]:
    """Stratum of each query by its training requests (Q,): head, torso, tail or unseen.

    `histogram` lists (requests, how many queries have so many), most frequent first. Head are the most
    frequent queries that bring the first third of the training requests, torso the second third.
    """
    total = sum(requests * queries for requests, queries in histogram)
    strata, seen = {0: UNSEEN}, 0
    for requests, queries in histogram:
        strata[requests] = "head" if 3 * seen < total else "torso" if 3 * seen < 2 * total else "tail"
        seen += requests * queries
    return [strata[requests] for requests in frequency.tolist()]


def traffic_masks(strata: Sequence[str]) -> dict[str, Mask]:
    """The four strata, and all seen queries together."""
    of_query = np.array(strata, dtype=object)
    return {"seen": of_query != UNSEEN, **{s: of_query == s for s in (UNSEEN, "head", "torso", "tail")}}


def length_masks(texts: Sequence[str]) -> dict[str, Mask]:
    """Queries of one, two, three, and four or more words."""
    count = np.array([min(len(found), LONGEST) for found in words(texts)])
    names = {1: "1 word", **{n: f"{n} words" for n in range(2, LONGEST)}, LONGEST: f"{LONGEST} words and more"}
    return {name: count == n for n, name in names.items()}


def category_masks(categories: Sequence[str | None]) -> dict[str, Mask]:
    """Queries by category (Q,): the largest by name, the others together; None is `without a category`."""
    named = Counter(c for c in categories if c is not None)
    largest = sorted(named, key=lambda c: (-named[c], c))[:CATEGORIES]
    of_query = np.array([c if c is None or c in largest else "other categories" for c in categories], dtype=object)
    masks = {c: of_query == c for c in (*largest, "other categories")}
    return {**masks, "without a category": np.array([c is None for c in categories], bool)}


def strata_table(
    values: Values, dimension: str, masks: Mapping[str, Mask], k: int, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Recall at K of every run within each group, a mask (Q,), that has queries."""
    measure, rows = str(Recall @ k), []
    for stratum, mask in masks.items():
        inside = mask[values.queries]
        if not inside.any():
            continue
        columns = np.stack([values.of(*run, measure)[inside] for run in values.runs], axis=1)
        for run, interval in zip(values.runs, bootstrap_intervals(columns, resamples, seed)):
            rows.append({
                "dimension": dimension, "stratum": stratum, "queries": int(inside.sum()), "system": run[0], "search": run[1],
                "truth": values.truth, "k": k, "recall": interval.mean, "low": interval.low, "high": interval.high,
            })
    return rows


def item_strata(
    truth: str, judgements: Judgements, runs: Sequence[Run], query_seen: Mask, item_seen: NDArray[np.int64], k: int,
    resamples: int, seed: int,
) -> Iterator[dict[str, Any]]:
    """Recall at K of seen and unseen queries, of the relevant items that training saw and of those it did not, apart.

    `query_seen` (Q,); `item_seen` the ids that led to a click or an order in training.
    """
    known = np.isin(judgements.item, item_seen)
    for name, mask in (("seen items", known), ("unseen items", ~known)):
        values = measure_runs(truth, judgements.only(mask), runs, [Recall @ k])
        masks = {f"seen queries, {name}": query_seen, f"unseen queries, {name}": ~query_seen}
        yield from strata_table(values, "query and item", masks, k, resamples, seed)
