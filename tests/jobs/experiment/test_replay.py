"""One replay: who is on which side, what they look at, click and order."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.experiment.replay import by_user, expected, replay, replays, stage
from jobs.experiment.utility import NO_ITEM
from jobs.market.config import BehaviourSettings
from tests.jobs.experiment.people import PLACES, pages_of, visits_of

VISITS = visits_of(2_000)
LOOKING = BehaviourSettings(depth=3.0, skip=0.1)
ALIKE = pages_of(VISITS, 0.5, 0.2)
EVERYTHING = BehaviourSettings(depth=1e9, skip=0.0)


def test_users_are_assigned_in_halves_by_a_pure_function_of_seed_repeat_and_user() -> None:
    on = stage(VISITS, ALIKE, ALIKE, LOOKING, seed=7)
    sides = replay(on, 0).treated
    assert (replay(on, 0).treated == sides).all()
    assert sides.mean() == pytest.approx(0.5, abs=0.04)
    for other in (replay(on, 1).treated, replay(stage(VISITS, ALIKE, ALIKE, LOOKING, seed=8), 0).treated):
        assert np.mean(other == sides) == pytest.approx(0.5, abs=0.04)


def test_all_requests_of_a_user_are_on_the_users_side() -> None:
    # On A nothing is ever clicked, on B everything: a user with clicks on part of the requests would have been on both.
    a, b = pages_of(VISITS, 0.0, 0.0), pages_of(VISITS, 1.0, 0.0)
    outcome = replay(stage(VISITS, a, b, EVERYTHING, seed=7), 0)
    assert (outcome.clicks == np.where(outcome.treated, PLACES * outcome.sessions, 0)).all()


def test_assignment_knows_nothing_of_the_pages() -> None:
    other = pages_of(VISITS, 0.9, 0.9, item=50)
    assert (replay(stage(VISITS, ALIKE, ALIKE, LOOKING, 7), 3).treated
            == replay(stage(VISITS, ALIKE, other, LOOKING, 7), 3).treated).all()


def test_the_same_seed_and_repeat_give_the_same_outcome_and_others_another() -> None:
    one, again, later = (replay(stage(VISITS, ALIKE, ALIKE, LOOKING, 7), repeat) for repeat in (5, 5, 6))
    assert (one.clicks == again.clicks).all() and (one.orders == again.orders).all()
    assert (one.clicks != later.clicks).any()


def test_what_has_no_chance_is_never_clicked_and_whoever_orders_has_clicked() -> None:
    nothing, some = pages_of(VISITS, [0, 0.9, 0, 0], [0, 0.5, 0, 0]), pages_of(VISITS, 0.0, 0.0)
    outcome = replay(stage(VISITS, nothing, some, EVERYTHING, 7), 0)
    assert outcome.clicks[outcome.treated].sum() == 0
    assert (outcome.clicks <= outcome.sessions).all()  # one item of a page has a chance, one request a session
    assert (outcome.orders <= outcome.clicks).all() and outcome.orders.sum() > 0


def test_an_empty_place_is_never_clicked() -> None:
    empty = pages_of(VISITS, 1.0, 1.0)
    empty = type(empty)(np.full_like(empty.item, NO_ITEM), empty.click, empty.order, empty.score)
    outcome = replay(stage(VISITS, empty, empty, EVERYTHING, 7), 0)
    assert outcome.clicks.sum() == outcome.orders.sum() == 0


def test_the_expected_clicks_of_a_page_by_hand() -> None:
    # Reached with 1, e^-1/3, e^-2/3, e^-1; of those a tenth is overlooked and half of the rest clicked.
    means, orders = expected(stage(VISITS, ALIKE, ALIKE, LOOKING, 7))
    page = 0.9 * np.exp(-np.arange(4) / 3).sum()
    assert means[0] == pytest.approx(VISITS.sessions * page * 0.5)
    assert orders[1] == pytest.approx(VISITS.sessions * page * 0.2)


def test_many_replays_come_out_as_expected_on_either_side() -> None:
    b = pages_of(VISITS, [0.1, 0.2, 0.3, 0.4], [0.05, 0.1, 0.1, 0.3])
    on = stage(VISITS, ALIKE, b, LOOKING, 7)
    outcome = replays(on, 0, copies=60)
    clicks, orders = expected(on)
    for side in (0, 1):
        mine = outcome.treated == bool(side)
        assert outcome.clicks[mine].sum() / outcome.sessions[mine].sum() == pytest.approx(
            clicks[side].sum() / VISITS.sessions.sum(), rel=0.01)
        assert outcome.orders[mine].sum() / outcome.sessions[mine].sum() == pytest.approx(
            orders[side].sum() / VISITS.sessions.sum(), rel=0.02)


def test_a_copy_of_everybody_is_a_replay_of_its_own() -> None:
    on = stage(VISITS, ALIKE, ALIKE, LOOKING, 7)
    both = replays(on, 4, copies=2)
    assert (both.orders == np.concatenate([replay(on, 8).orders, replay(on, 9).orders])).all()


def test_sums_of_a_user_are_those_of_the_users_requests() -> None:
    on = stage(VISITS, ALIKE, ALIKE, LOOKING, 7)
    assert (by_user(on, np.ones(len(VISITS.user))) == VISITS.sessions).all()
