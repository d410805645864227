"""Faults that a producer sends: the check that must name each, whether the day stops, and that no other critical check fires.

Of the later jobs, collapsed embeddings, a lost shard and permuted ids are in test_injected_model_faults.py, a session on both
sides of the split and a positive that is not masked in tests/jobs/tuples/test_guards.py.
"""

from __future__ import annotations

import pytest

from jobs.runtime.manifest import Manifest
from jobs.runtime.store import run_folder
from jobs.runtime.verdict import JobVerdict
from tests.jobs.faults import injuries
from tests.jobs.faults.conftest import DAY, Morning, failed

pytestmark = pytest.mark.slow


def hashes(morning: Morning) -> dict[str, str]:
    """Content of the requests and events that are published for the day."""
    entry, warehouse = morning.log.head(), morning.log.root
    return {
        name: Manifest.read(run_folder(warehouse, name, str(DAY), str(entry.run(name, str(DAY))))).content_hash
        for name in ("requests", "events")
    }


def stopped_by(verdict: JobVerdict, named: set[str], companions: set[str] = frozenset()) -> None:
    """The named checks blocked the day, and no critical one beside the companions did."""
    found = failed(verdict, "critical")
    assert verdict.verdict == "block" and named <= found <= named | companions, found


def test_an_ordinary_day_passes_and_its_checks_had_a_history(morning: Morning) -> None:
    for job in ("ingest_logs", "ingest_items"):
        verdict = morning.run(job)
        assert (failed(verdict, "critical"), failed(verdict, "warning")) == (set(), set())
        compared = [c for o in verdict.outputs for c in o.checks if ":of_" in c.metric or ":missing" in c.metric]
        assert compared and [c.name for c in compared if c.value is None] == []


def test_half_the_events_missing(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "events", injuries.every_second)
    stopped_by(morning.run("ingest_logs"), {"events.rows:of_weekday.critical"})


def test_one_hour_missing(morning: Morning) -> None:
    hour = injuries.busiest_hour(morning.raw)
    for kind in ("events", "queries"):
        injuries.rewrite(morning.raw, kind, injuries.without(hour))
    stopped_by(morning.run("ingest_logs"), {"events.by_hour:missing.critical"}, {"requests.by_hour:missing.critical"})


def test_positions_shifted_by_one(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "events", injuries.changed(injuries.positions_moved(1)))
    stopped_by(morning.run("ingest_logs"), {"events.first_position_share:of_week.critical"}, {"events.first_position_share.critical"})


def test_positions_that_begin_at_zero(morning: Morning) -> None:
    """`ingest.position_base` says 1: an item at 0 has no position, and those behind it move up in its place."""
    injuries.rewrite(morning.raw, "events", injuries.changed(injuries.positions_moved(-1)))
    stopped_by(morning.run("ingest_logs"), {"events.no_position_share:above_week.critical"})


def test_a_new_name_of_an_action(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "events", injuries.changed(injuries.teleported, every=100))
    verdict = morning.run("ingest_logs")
    assert verdict.verdict == "warn" and failed(verdict, "critical") == set()
    assert "ledger.new_actions.warning" in failed(verdict, "warning")
    entry = morning.log.head()
    ledger = Manifest.read(run_folder(morning.log.root, "ledger", str(DAY), str(entry.run("ledger", str(DAY)))))
    assert ledger.facts["unknown_actions"]["teleport"] > 10


def test_three_in_a_hundred_events_of_no_item(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "events", injuries.changed(injuries.of_no_item, every=33))
    stopped_by(morning.run("ingest_logs"), {"ledger.no_object_id_share.critical"})


def test_half_the_events_name_searches_that_nobody_made(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "events", injuries.changed(injuries.of_another_search, every=2))
    stopped_by(morning.run("ingest_logs"), {"ledger.orphan_event_share.critical"})


def test_clicks_sent_twice_change_nothing_but_the_share_of_duplicates(morning: Morning) -> None:
    morning.run("ingest_logs")
    clean = hashes(morning)
    injuries.rewrite(morning.raw, "events", injuries.clicks_twice)
    verdict = morning.run("ingest_logs")
    assert verdict.verdict == "warn" and failed(verdict, "warning") == {"ledger.duplicate_share:above_week.warning"}
    assert hashes(morning) == clean


def test_a_day_delivered_twice_changes_nothing_but_the_share_of_duplicates(morning: Morning) -> None:
    morning.run("ingest_logs")
    clean = hashes(morning)
    injuries.deliver_again(morning.raw)
    verdict = morning.run("ingest_logs")
    assert verdict.verdict == "warn" and failed(verdict, "warning") == {"ledger.duplicate_share:above_week.warning"}
    assert hashes(morning) == clean


def test_prices_in_cents(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "catalogue", injuries.changed(injuries.in_cents))
    stopped_by(morning.run("ingest_items"), {"items.price_median:of_day_before.critical"})


def test_a_fifth_of_the_catalogue_missing(morning: Morning) -> None:
    injuries.rewrite(morning.raw, "catalogue", injuries.four_fifths)
    stopped_by(morning.run("ingest_items"), {"items.rows:of_day_before.critical"})
