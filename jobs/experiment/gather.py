"""What an experiment is played with, read from what is published: the market, its people, and the pages of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from pyspark.sql import functions as F

from jobs.experiment.ranker import Offers, page_of, pool_of
from jobs.experiment.releases import Side
from jobs.experiment.utility import Utility, pair_of, read_utility
from jobs.experiment.visits import Visits, collect_visits, sample_users, searches
from jobs.market.config import MarketSettings
from jobs.report.published import Published
from jobs.runtime.config import Config
from jobs.runtime.errors import InputError
from jobs.runtime.manifest import Manifest
from jobs.runtime.session import start_session
from jobs.runtime.store import read_rows, run_folder
from schemas import DATASETS

TRUTH = ("truth_requests", "truth_utility")


@dataclass(frozen=True)
class Market:
    """The simulated market whose people come: its settings and its seed, as the run that invented it had them."""

    settings: MarketSettings
    seed: int
    truth: dict[str, Manifest]


def open_market(published: Published) -> Market:
    """The newest published truth. InputError where there is none, as in every real shop."""
    manifests = {}
    for name in TRUTH:
        days = published.entry.days(name)
        if not days:
            raise InputError(
                f"{name}: not published in {published.warehouse}; an experiment can be simulated only where simulate_market "
                "invented the shop"
            )
        manifests[name] = published.manifest(name, days[-1])
    made = manifests["truth_utility"].config
    try:
        settings = MarketSettings.model_validate(made["market"])
    except ValidationError:
        raise InputError("truth_utility: made with other settings than this version has; run simulate_market again") from None
    return Market(settings, made["seed"], manifests)


def files_of(published: Published, manifest: Manifest) -> list[Path]:
    """The files of a published run, absolute."""
    folder = run_folder(published.warehouse, manifest.dataset, manifest.dt, manifest.run_id)
    return [folder / file.path for file in manifest.files]


def read_visits(config: Config, published: Published, market: Market, days: list[str]) -> tuple[Visits, int]:
    """The visits of at most `experiment.max_users` people on `days`, and how many people there were."""
    arrivals = [m for d in published.entry.days("requests") if d >= days[0] and (m := published.manifest("requests", d))]
    spark = start_session(config, "experiment")
    requests = read_rows(spark, DATASETS["requests"], [f for m in arrivals for f in files_of(published, m)])
    truth = market.truth["truth_requests"]
    intents = read_rows(spark, DATASETS["truth_requests"], files_of(published, truth))
    rows = searches(requests, intents, days).persist()
    everybody = rows.select(F.countDistinct("user_key")).first()[0]
    if not everybody:
        raise InputError(f"requests of {', '.join(days)}: none by a person of truth_requests dt={truth.dt}")
    visits = collect_visits(sample_users(rows, config.seed, config.experiment.max_users).toArrow())
    rows.unpersist()
    return visits, everybody


def pages_of_sides(published: Published, market: Market, visits: Visits, sides: list[Side], k: int) -> list[Offers]:
    """The pages (P, page_size) of each side: retrieval once per text, ranking once per request; a side that is the same
    release as one before gets the same pages."""
    asked, search = np.unique(np.stack([visits.text, visits.intent], axis=1), axis=0, return_inverse=True)
    text, intent = asked[:, 0], asked[:, 1]
    found = {side.key: side.retrieve(visits.texts, k) for side in {side.key: side for side in sides}.values()}
    utility = wanted_utility(published, market, intent, [items[text] for items in found.values()])
    pages = {}
    for key, items in found.items():
        pool = pool_of(intent, items[text], utility, market.settings.ranker, market.seed)
        pages[key] = page_of(visits.result, search.ravel(), visits.page, pool, market.settings, market.seed)
    return [pages[side.key] for side in sides]


def wanted_utility(published: Published, market: Market, intent: np.ndarray, found: list[np.ndarray]) -> Utility:
    """What the truth knows of everything that was retrieved for an intent (N,), found (N, k) by each side."""
    wanted = np.unique(np.concatenate([np.unique(pair_of(intent[:, None], items)) for items in found]))
    return read_utility(files_of(published, market.truth["truth_utility"]), wanted)
