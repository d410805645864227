"""One replay: users are assigned to a side, see that side's pages, look, click and order.

Every draw is a pure function of (seed, purpose, user or request and item, repeat). A replay touches the pages
alone: retrieval and ranking are done once, however many replays follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.experiment.draws import exponential, hashed, mixed, uniform
from jobs.experiment.ranker import Offers
from jobs.experiment.utility import NO_ITEM
from jobs.experiment.visits import Visits
from jobs.market.config import BehaviourSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """What a replay needs, ready for drawing: P requests of U users, S items on a page, sides A and B.

    first (U,) is each user's first request; click and order (2, P, S) are chances per item within reach, with
    what is overlooked taken off; cell (2, P, S), deep (P,) and side (U,) are the bits that a repeat is mixed into.
    About 48 S bytes a request: 600 bytes for a page of 12.
    """

    user: NDArray[np.int64]
    first: NDArray[np.int64]
    sessions: Floats
    click: Floats
    order: Floats
    cell: NDArray[np.uint64]
    deep: NDArray[np.uint64]
    side: NDArray[np.uint64]
    depth: float


@dataclass(frozen=True)
class Outcome:
    """What U users did, in the order of their arrival: (U,) each. `treated` is True on side B."""

    treated: NDArray[np.bool_]
    sessions: Floats
    clicks: Floats
    orders: Floats


def stage(visits: Visits, a: Offers, b: Offers, behaviour: BehaviourSettings, seed: int) -> Stage:
    """The stage on which A's and B's pages (P, S) meet the visits."""
    pages = [np.where(offers.item == NO_ITEM, 0.0, 1 - behaviour.skip) for offers in (a, b)]
    return Stage(
        user=visits.user, first=np.searchsorted(visits.user, np.arange(len(visits.user_key))), sessions=visits.sessions,
        click=np.stack([chance * offers.click for chance, offers in zip(pages, (a, b))]),
        order=np.stack([chance * offers.order for chance, offers in zip(pages, (a, b))]),
        cell=np.stack([hashed(seed, "outcome", visits.request[:, None], offers.item) for offers in (a, b)]),
        deep=hashed(seed, "depth", visits.request), side=hashed(seed, "side", visits.user_key), depth=behaviour.depth,
    )


def replay(on: Stage, repeat: int) -> Outcome:
    """One replay of everybody; another `repeat` assigns and draws anew.

    A request reaches places up to an exponential depth. One number u per item decides the rest: within reach it is
    ordered where u < P(order | reach) and clicked where u < P(click | reach); whoever orders has clicked.
    """
    treated = mixed(on.side, repeat) >> np.uint64(63) == 1
    side, request = treated[on.user].astype(np.int64), np.arange(len(on.user))
    reached = np.arange(on.click.shape[2]) <= exponential(mixed(on.deep, repeat), on.depth)[:, None]
    u = uniform(mixed(on.cell[side, request], repeat))
    clicks = reached & (u < on.click[side, request])
    orders = reached & (u < on.order[side, request])
    return Outcome(treated, on.sessions, by_user(on, clicks.sum(1)), by_user(on, orders.sum(1)))


def replays(on: Stage, repeat: int, copies: int) -> Outcome:
    """`copies` replays as one experiment: everybody comes so often, each time as a new user who arrives after all before."""
    drawn = [replay(on, repeat * copies + copy) for copy in range(copies)]
    return Outcome(*(np.concatenate([getattr(one, name) for one in drawn])
                     for name in ("treated", "sessions", "clicks", "orders")))


def expected(on: Stage) -> tuple[Floats, Floats]:
    """Clicks and orders that each user has in the mean where everybody is on A, and where everybody is on B: (2, U) each."""
    reach = np.exp(-np.arange(on.click.shape[2]) / on.depth)  # P(place <= depth), depth exponential
    clicks, orders = ((chances * reach).sum(2) for chances in (on.click, on.order))
    return np.stack([by_user(on, c) for c in clicks]), np.stack([by_user(on, o) for o in orders])


def by_user(on: Stage, values: NDArray) -> Floats:
    """Sums (U,) of values per request (P,); every user has a request."""
    return np.add.reduceat(values.astype(np.float64), on.first)
