"""A tiny market for the experiment's tests: users with a few sessions each, and pages whose chances are known."""

from __future__ import annotations

import numpy as np

from jobs.experiment.ranker import Offers
from jobs.experiment.visits import Visits

PLACES = 4


def visits_of(users: int, seed: int = 1) -> Visits:
    """Users with one to four sessions of one request each, numbered in the order of their arrival."""
    draw = np.random.default_rng(seed)
    sessions = draw.integers(1, 5, users)
    user = np.repeat(np.arange(users), sessions)
    requests = len(user)
    return Visits(
        user=user, request=draw.integers(-(2**62), 2**62, requests), result=np.arange(requests), text=np.zeros(requests, int),
        intent=np.zeros(requests, int), page=np.ones(requests, int), user_key=draw.integers(-(2**62), 2**62, users),
        sessions=sessions.astype(float), texts=["lamp"],
    )


def pages_of(visits: Visits, click: float | np.ndarray, order: float | np.ndarray, item: int = 0) -> Offers:
    """The same page for every request: items `item`, `item` + 1, ... with these chances when examined."""
    shape = (len(visits.user), PLACES)
    items = np.broadcast_to(item + np.arange(PLACES), shape)
    return Offers(items, np.broadcast_to(click, shape), np.broadcast_to(order, shape), np.zeros(shape))
