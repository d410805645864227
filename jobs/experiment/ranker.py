"""The shop's production ranker over what a release retrieved: the same function for both sides, told nothing of either.

It is that of the simulated market (`jobs/market/utility.py`, `jobs/market/ranker.py`). The best candidates by its
standing score, published as `ranker_score`, fill a pool; on each request noise and some exploration decide the order
in the pool. It sees a set of candidates: neither order nor score of the retrieval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.experiment.draws import hashed, uniform
from jobs.experiment.utility import NO_ITEM, Utility
from jobs.market.config import MarketSettings, RankerSettings
from jobs.market.draws import LAMBDA, SCALE
from jobs.market.ranker import LIFT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CELLS = 1_000_000
"""Pairs that are scored at a time (some tens of MB)."""


@dataclass(frozen=True)
class Offers:
    """C items for each of N searches or requests: numbers, and what the truth says of each given examination.

    item (N, C), NO_ITEM where there is none; click, order, score (N, C), the probabilities 0 where the truth does not
    know the pair.
    """

    item: Ints
    click: Floats
    order: Floats
    score: Floats

    def take(self, rows: Ints, columns: Ints) -> Offers:
        """Of each of `rows` (M,) the `columns` (M, C), in that order."""
        at = (rows[:, None], columns)
        return Offers(self.item[at], self.click[at], self.order[at], self.score[at])


def pool_of(intents: Ints, found: Ints, utility: Utility, settings: RankerSettings, seed: int) -> Offers:
    """The ranker's pool of each search: intents (N,), retrieved items (N, K) -> the best by standing score, (N, pool).

    Equal scores stand by item, so that the order of the retrieval cannot matter.
    """
    parts = [
        _pool(intents[rows], np.sort(found[rows], axis=1), utility, settings, seed)
        for rows in blocks(len(intents), found.shape[1])
    ]
    return joined(parts)


def _pool(intents: Ints, items: Ints, utility: Utility, settings: RankerSettings, seed: int) -> Offers:
    place, known = utility.find(intents[:, None], items)
    score = stranger_score(intents[:, None], items, settings, seed)
    click, order = np.zeros(items.shape), np.zeros(items.shape)
    click[known], order[known] = utility.click[place[known]], utility.order[place[known]]
    score[known] = utility.score[place[known]]
    score[items == NO_ITEM] = -np.inf
    best = np.argsort(-score, axis=1, kind="stable")[:, : settings.pool]
    return Offers(items, click, order, score).take(np.arange(len(items)), best)


def stranger_score(intents: Ints, items: Ints, settings: RankerSettings, seed: int) -> Floats:
    """The ranker's score of items of another product than the intent's, which the truth does not list.

    As an item of average attraction that meets and misses no wish, two steps away where a sibling kind is one;
    with the same standing error.
    """
    u = uniform(hashed(seed, "ranker of strangers", intents, items))
    return 2 * settings.sibling + settings.noise * (u**LAMBDA - (1 - u) ** LAMBDA) * SCALE


def page_of(result: Ints, search: Ints, page: Ints, pool: Offers, settings: MarketSettings, seed: int) -> Offers:
    """The page of results of each request, best first, (P, page_size).

    `result` (P,) is the key of the noise, `search` (P,) the row of `pool`, `page` (P,) from 1.
    """
    padded = padded_to(pool, int(page.max(initial=1)) * settings.page_size)
    parts = [
        _page(result[rows], search[rows], page[rows], padded, settings, seed)
        for rows in blocks(len(result), padded.item.shape[1])
    ]
    return joined(parts)


def _page(result: Ints, search: Ints, page: Ints, pool: Offers, settings: MarketSettings, seed: int) -> Offers:
    u = uniform(hashed(seed, "ranker of the experiment", result[:, None], pool.item[search]))
    lift = np.where(u > 1 - settings.ranker.exploration, LIFT, 0.0)
    score = pool.score[search] - np.log(-np.log(u)) * settings.ranker.jitter + lift
    ranked = np.argsort(-score, axis=1, kind="stable")
    places = (page[:, None] - 1) * settings.page_size + np.arange(settings.page_size)
    return pool.take(search, np.take_along_axis(ranked, places, axis=1))


def padded_to(offers: Offers, width: int) -> Offers:
    """The same with at least `width` columns: what is added holds no item."""
    more = ((0, 0), (0, max(0, width - offers.item.shape[1])))
    return Offers(
        np.pad(offers.item, more, constant_values=NO_ITEM), np.pad(offers.click, more), np.pad(offers.order, more),
        np.pad(offers.score, more, constant_values=-np.inf),
    )


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices over `rows` of at most CELLS cells each; one empty slice where there are none."""
    step = max(1, CELLS // max(1, width))
    for start in range(0, max(rows, 1), step):
        yield slice(start, min(start + step, rows))


def joined(parts: list[Offers]) -> Offers:
    """The rows of all parts, in order."""
    return Offers(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("item", "click", "order", "score")))
