"""The whole way from raw files to labels against the oracle, over a simulated shop whose every record is known.

The oracle labels the complete stream, as it was before any fault. Spark gets the delivery: duplicates, late and
broken records, split and lost documents, in shuffled files. Whoever is a bot is left out of both: here only a telling
user agent counts, so that ingest need not be asked. The slow test runs night by night, asks, and holds the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.market.config import FaultSettings
from jobs.runtime.config import Config
from tests.jobs.labels.market_log import Record
from tests.jobs.labels.market_shop import LAST, NO_BEHAVIOUR_RULES, Shop, assert_same, deliver_again, open_shop

FAULTS = {**dict.fromkeys(FaultSettings.model_fields, 0.02), "request_twice": 0.1, "late": 0.06}
BOTS = {"scraper": 0, "price_watcher": 0.33, "click_farm": 0.33, "monitoring": 0}
"""Two bots of two kinds; one of each tells."""
MARKET = {"items": 400, "requests": 1_000, "days": 5, "shops": 5, "intents": 60, "files_per_day": 1, "bots": BOTS, "faults": FAULTS}
WINDOW = 2
"""Days: orders come up to six days after their search, so many fall outside."""
DAYS = [(LAST - timedelta(days=n)).isoformat() for n in reversed(range(5))]


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    yield open_shop(spark, tmp_path_factory.mktemp("shop"), MARKET, NO_BEHAVIOUR_RULES, WINDOW, nights=(0,))


@pytest.fixture(scope="module")
def left_out(shop: Shop) -> set[Record]:
    """Records that nobody can label: the faults destroyed them, or their user agent is no browser."""
    return shop.log.destroyed.keys() | shop.log.telling


def test_every_conversion_of_the_faulty_delivery_is_attributed_as_the_oracle_says(
    spark: SparkSession, shop: Shop, left_out: set[Record]
) -> None:
    expected = shop.expected_attributions(left_out)
    assert_same(shop.rows(spark, "attributions", "event_id"), expected)
    assert {row["rule"] for row in expected.values()} >= {"own_query", "session_last_touch", "last_cart", "none"}
    assert sum(row["undone"] for row in expected.values()) > 5


def test_every_impression_of_the_faulty_delivery_is_labelled_as_the_oracle_says(
    spark: SparkSession, shop: Shop, left_out: set[Record]
) -> None:
    expected = shop.expected_impressions(left_out)
    assert_same(shop.rows(spark, "impressions", "query_id", "object_id"), expected)
    assert {row["stage"] for row in expected.values()} == {None, "unclicked", "clicked", "carted", "ordered"}


def test_only_rows_that_lost_a_record_differ_from_the_labels_of_the_complete_stream(
    spark: SparkSession, shop: Shop, left_out: set[Record]
) -> None:
    complete = shop.expected_impressions(shop.log.telling)
    found = shop.rows(spark, "impressions", "query_id", "object_id")
    lost = {key for kind, key in shop.log.destroyed if kind == "query"}
    assert {query_id for query_id, _ in complete.keys() - found.keys()} == {q for q, _ in complete if q in lost}
    assert found.keys() <= complete.keys()
    touched = shop.reach_of_destroyed()
    changed = {key for key in found if found[key] != complete[key]}
    assert changed and all(found[key]["request_ts"] and key[0] in touched for key in changed)


def test_every_injected_fault_is_in_the_ledger_and_nothing_else_is(spark: SparkSession, shop: Shop) -> None:
    expected = Counter(
        (day, record[0], disposition, reason or ("agent" if disposition == "bot" else ""))
        for day, record, (disposition, reason) in shop.log.fates(shop.log.telling_days())
    )
    assert shop.ledger(spark) == expected
    assert shop.log.telling and any(disposition == "bot" for _, _, disposition, _ in expected)
    assert {m.metrics["unaccounted_records"] for m in shop.manifests("ledger").values()} == {0}


def test_the_counts_of_the_truth_are_those_of_ledger_and_quarantine(spark: SparkSession, shop: Shop) -> None:
    injected, ledger = shop.injected(spark), Counter[str]()
    for (_, kind, disposition, reason), n in shop.ledger(spark).items():
        ledger[f"{kind} {disposition} {reason}".strip()] += n
    refused = Counter(r["reason"] for r in shop.table(spark, "quarantine").select("reason").collect())
    assert refused == {
        "not_json": injected["not_json"], "missing_timestamp": injected["missing_timestamp"],
        "missing_object_id": injected["null_object_id"], "out_of_range": injected["bad_position"],
        "unknown_action": injected["unknown_action"],
    }
    assert injected["too_late"] == ledger["query too_late late_days"] + ledger["event too_late late_days"]
    assert injected["request_twice"] == ledger["query merged same_query_id"]
    assert injected["duplicate_same_day"] == ledger["event duplicate event_id"] + ledger["event duplicate natural_key"]
    # A bot's event was not published on the first day: its copy of the next is a bot's once more, no duplicate.
    of_bots = sum("duplicate_next_day" in faults and record in shop.log.telling for _, record, faults in shop.log.deliveries)
    repeated = ledger["event duplicate event_id_of_earlier_day"] + ledger["event duplicate natural_key_of_earlier_day"]
    assert injected["duplicate_next_day"] == repeated + of_bots
    assert min(injected[fault] for fault in FaultSettings.model_fields if fault != "bad_row") > 0


def test_late_records_are_published_on_the_day_they_came(spark: SparkSession, shop: Shop) -> None:
    late = Counter(day for day, record, faults in shop.log.deliveries if "late" in faults and record not in shop.log.telling)
    found: Counter[str] = Counter()
    for dataset in ("requests", "events"):
        for day in DAYS:
            found[day] += shop.table(spark, dataset, [day]).where(f"event_date < date '{day}'").count()
    assert found == late


def test_orphans_are_kept_and_are_those_whose_request_the_faults_destroyed(
    spark: SparkSession, shop: Shop, left_out: set[Record]
) -> None:
    events, requests = shop.table(spark, "events"), shop.table(spark, "requests").select("query_id")
    found = events.where("query_id is not null").join(requests, "query_id", "left_anti").count()
    fates = {(day, record): fate[0] for day, record, fate in shop.log.fates(shop.log.telling_days())}
    flagged = [(day, record, faults) for day, record, faults in shop.log.deliveries if "orphan" in faults]
    assert shop.injected(spark)["orphan"] == len(flagged)
    # The truth counts each delivery, also those that are refused, repeated or by bots; it does not count the
    # events of requests that arrived, but too late.
    published = {record for day, record, _ in flagged if fates.get((day, record)) != "bot"} - left_out
    too_late = {key for (_, key), fault in shop.log.destroyed.items() if fault == "too_late"}
    sound = {record for record, document in shop.log.documents.items() if document.get("query_id") in too_late} - left_out
    assert found == len(published | {record for record in sound if record[0] == "event"}) > 0


def test_clicks_carts_and_orders_are_attributed_unattributed_or_repeated(shop: Shop, left_out: set[Record]) -> None:
    kept = Counter(e["action"] for e in shop.log.events(left_out) if e["action"] in ("click", "add_to_cart", "purchase"))
    totals: Counter[str] = Counter()
    for manifest in shop.manifests("attributions").values():
        counts = {name: int(manifest.metrics[name]) for name in ("attributed", "unattributed", "repeated_orders")}
        assert sum(counts.values()) == sum(manifest.facts["events"].values()) == manifest.rows
        assert manifest.metrics["conversions_unaccounted"] == 0
        totals.update(manifest.facts["events"])
    assert totals == kept


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "zone", "adaptive"), [(1, "America/New_York", "true"), (3, "UTC", "false"), (7, "Asia/Kolkata", "true")])
def test_both_jobs_publish_the_same_content_however_the_files_are_dealt_out(
    spark: SparkSession, shop: Shop, tmp_path: Path, partitions: int, zone: str, adaptive: str
) -> None:
    wanted = {"spark.sql.shuffle.partitions": str(partitions), "spark.sql.session.timeZone": zone, "spark.sql.adaptive.enabled": adaptive}
    before = {name: spark.conf.get(name) for name in wanted}
    try:
        for name, value in wanted.items():
            spark.conf.set(name, value)
        again = deliver_again(spark, shop, tmp_path, seed=partitions)
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)
    for dataset in ("requests", "events", "attributions", "impressions"):
        one, other = ({day: m.content_hash for day, m in s.manifests(dataset).items()} for s in (shop, again))
        assert one == other


@pytest.mark.slow
def test_night_by_night_with_every_bot_rule_a_larger_shop_is_labelled_as_the_oracle_says(
    spark: SparkSession, tmp_path: Path
) -> None:
    market = {"items": 3_000, "requests": 12_000, "days": 8}
    shop = open_shop(spark, tmp_path, market, Config().ingest.bots.model_dump(), 7, nights=range(7, -1, -1))
    flagged = shop.flagged_days(spark)
    fates = shop.log.fates(flagged)
    expected = Counter((day, record[0], *fate) for day, record, fate in fates)
    found: Counter[tuple[str, ...]] = Counter()
    for (day, kind, disposition, reason), n in shop.ledger(spark).items():
        found[day, kind, disposition, "" if disposition == "bot" else reason] += n
    assert found == expected

    published = {record for _, record, (disposition, _) in fates if disposition == "accepted"}
    out = shop.log.documents.keys() - published
    assert_same(shop.rows(spark, "attributions", "event_id"), shop.expected_attributions(out))
    assert_same(shop.rows(spark, "impressions", "query_id", "object_id"), shop.expected_impressions(out))

    actors = {r["query_id"]: r["actor"] for r in shop.table(spark, "truth_requests").select("query_id", "actor").collect()}
    taken = [actors[record[1]] != "human" for _, record, fate in fates if record[0] == "query" and fate[0] == "bot"]
    assert sum(taken) >= 0.95 * len(taken) > 0


def test_the_rows_of_the_oracle_are_the_columns_of_the_dataset(spark: SparkSession, shop: Shop, left_out: set[Record]) -> None:
    for dataset, keys, rows in (
        ("attributions", {"event_id"}, shop.expected_attributions(left_out)),
        ("impressions", {"query_id", "object_id"}, shop.expected_impressions(left_out)),
    ):
        assert set(shop.table(spark, dataset).columns) == keys | set(next(iter(rows.values())))
