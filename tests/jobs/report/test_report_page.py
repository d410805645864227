"""The report page: what it says of a day, and that it loads nothing and leaks nothing."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jobs.pipeline import JOB_NAMES
from jobs.report.page import build_report
from jobs.runtime.config import Config
from jobs.runtime.snapshots import SnapshotLog
from tests.jobs.report.shop import DT, check, config_in, leave_verdict, ledger_table, publish, run_verdict

DAY = date.fromisoformat(DT)


class Text(HTMLParser):
    """Visible text, and every address the page mentions."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] not in ("style", "script"):
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def page(config: Config, entry: Any = None) -> Text:
    parsed = Text()
    parsed.feed(build_report(config, DAY, entry).read_text(encoding="utf-8"))
    return parsed


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_in(tmp_path)


EVALUATION = {
    "catalogue": 20_000, "queries": {"ordered": 120}, "k": 100, "k_rule": "the smallest", "oracle": 0.875,
    "table": [
        {"system": system, "search": search, "truth": "ordered", "k": k, "recall": recall, "low": recall - 0.01,
         "high": recall + 0.01}
        for system, search, recall in (("mmse", "exact", 0.71), ("mmse", "ann", 0.70), ("<b>", "exact", 0.512))
        for k in (10, 100)
    ],
    "paired": [{"a": "mmse", "b": "bm25", "search": "exact", "truth": "ordered", "k": 100, "difference": 0.198,
                "low": 0.15, "high": 0.24, "p": 0.001}],
    "left_out": {"oracle": "no truth"},
    "strata": [
        {"dimension": "words", "stratum": "1 word", "queries": 41, "system": "mmse", "search": "exact", "truth": "ordered",
         "k": 100, "recall": 0.734, "low": 0.6, "high": 0.8},
    ],
    "look": [{
        "query": "usb cable", "why": "loss", "relevant": 2, "missed": [[5, "missed one", "ordered"]],
        "hits": {"bm25": [[3, "Cable <script>alert(1)</script>", "ordered"]], "mmse": []},
    }],
    "graded": {
        "day": DT, "queries": 113, "recall_queries": 90, "grade": 2, "paired": [],
        "table": [{"system": "mmse", "search": "exact", "truth": "graded", "metric": "ndcg@10", "mean": 0.4321, "low": 0.4,
                   "high": 0.5}],
        "look": [{"query": "laptop", "why": "worst", "relevant": 7, "missed": [],
                  "hits": {"mmse": [[8, "A notebook", "3"], [9, "A bag", ""]]}}],
    },
}


def publish_all(config: Config) -> None:
    publish(config, "ledger", table=ledger_table(
        ("query", "accepted", "", 90), ("query", "quarantined", "bad_timestamp", 10), ("event", "accepted", "", 7),
        ("event", "bot", "too_many", 3),
    ), facts={"tolerances": {"numeric_strings": 4321}, "bots": {"too_many": 6}})
    publish(config, "vocabulary", facts={"queries": {
        "k": 3, "shown": [["usb cable", 44, 12]], "queries": 1, "searches": 44, "hidden_queries": 5, "hidden_searches": 17,
    }})
    publish(config, "item_ledger", table=ledger_table(("item", "accepted", "", 31), ("item", "duplicate", "x", 2)))
    publish(config, "impressions", rows=100, facts={
        "funnel": {"not examined": 60, "unclicked": 30, "clicked": 8, "ordered": 2},
        "clicks_by_position": [[1, 50, 10], [2, 50, 5]], "maturity": {"days": 3, "final": False, "labelled_on": DT},
    })
    publish(config, "attributions", facts={"rules": {"purchase": {"own_query": 77, "none": 3}}})
    publish(config, "tuples", metrics={"sessions_on_both_sides": 0}, facts={
        "rows": {"train": 5000, "validation": 600, "test": 70}, "slots": ["clicked", "clicked", "ordered"],
        "stage_mix": {"train": {"clicked": 8000, "ordered": 900}}, "lost_items": {"no_room": 44},
    })
    publish(config, "evaluation", facts=EVALUATION)
    publish(config, "index", facts={"codec": "sq8", "lists": 256, "vectors": 19_000},
            metrics={"vectors": 19_000})


def test_queries_side_by_side_mark_what_was_ordered_and_escape_titles(config: Config) -> None:
    publish_all(config)
    shown = page(config)
    assert "loss usb cable 2 relevant bm25 Cable <script>alert(1)</script> mmse Nothing." in shown.text
    assert "In no first 10: missed one" in shown.text
    assert "words group queries mmse 1 word 41 0.734 0.600–0.800" in shown.text
    assert "system ndcg@10 mmse exact 0.432 0.400–0.500" in shown.text
    assert "worst laptop 7 relevant mmse A notebook 3 A bag" in shown.text


def test_a_date_without_anything_says_so_in_every_part(config: Config) -> None:
    shown = page(config)
    assert "NOT RUN No job has run for this date." in shown.text
    for part in ("funnel", "split", "recall", "index", "checks"):
        assert part in shown.ids
    assert shown.text.count("for this date.") >= 8


def test_the_parts_show_what_is_published(config: Config) -> None:
    publish_all(config)
    text = page(config).text
    assert "query: 100 raw records accepted 90 90.0 % quarantined 10 10.0 %" in text
    assert "event: 10 raw records accepted 7 70.0 % bot 3 30.0 %" in text
    assert "item: 33 raw records accepted 31" in text
    assert "query quarantined bad_ timestamp 10 10.0 %" in text
    assert "event bot too_ many 3 30.0 %" in text
    assert "item duplicate x 2 6.1 %" in text
    assert "usb cable 44 12 1 queries, each of at least 3 people, made 44 searches of the window" in text
    assert "The text of 5 others (17 searches), each of fewer people, is not shown" in text
    assert "4,321" in text
    # 100 shown; 40 examined; 10 clicked or further; 2 ordered
    assert "shown 100 100.0 % examined 40 40.0 % clicked 10 10.0 % ordered 2 2.0 %" in text
    assert "purchase 77 3" in text
    assert f"{DT} 100 3 open {DT}" in text
    assert "split tuples clicked ordered train 5,000 8,000 900 validation 600 – – test 70 – –" in text
    assert "sessions_ on_ both_ sides 0" in text
    assert "train_ events_ after_ cut –" in text
    assert "items left out: no_ room 44" in text
    assert "too_ many 6 3" in text
    assert "0.710 0.700–0.720" in text
    assert "ordered mmse − bm25 100 +0.198 +0.150 to +0.240" in text
    assert "An oracle that knows the truth reaches 0.875" in text
    assert text.count("vectors 19,000") == 1
    assert "codec sq8" in text


def test_figures_are_compared_with_the_days_before_and_those_outside_their_range_come_first(config: Config) -> None:
    for day in range(1, 8):
        publish(config, "requests", dt=f"2026-01-0{day}", rows=100 + day, metrics={"empty_query_share": 0.1 * (day % 2)})
    publish(config, "requests", rows=50, metrics={"empty_query_share": 0.05})
    text = page(config).text
    # medians of 101..107 and of 0, 0, 0, .1, .1, .1, .1
    drift = text[text.index("Drift against"):text.index("Split and leakage")]
    assert "requests rows 50 104 104 -51.9 %" in drift
    assert drift.index("requests rows") < drift.index("empty_ query_ share 0.05 0.1 0.1 -50.0 %")
    raw = (Path(config.paths.reports) / f"dt={DT}" / "index.html").read_text()
    assert raw.count('class="number bad">-51.9 %') == 1 and 'class="number bad">-50.0 %' not in raw
    assert raw.count('class="spark"') == 2


def test_distributions_are_compared_with_the_week_before(config: Config) -> None:
    def by_hour(*rows: int) -> dict[str, float]:
        return {f"by_hour:{n:02d}": float(rows[n % len(rows)]) for n in range(24)}

    for day in range(4, 8):
        publish(config, "events", dt=f"2026-01-0{day}", rows=2400, metrics=by_hour(100))
        publish(config, "requests", dt=f"2026-01-0{day}", rows=2400, metrics=by_hour(100))
    publish(config, "events", rows=2400, metrics=by_hour(100))
    publish(config, "requests", rows=2400, metrics=by_hour(50, 150))
    text = page(config).text
    # with half a row more in every bin, p = 50.5 or 150.5 of 2412 and q = 400.5 of 9612:
    # 12 (.0207 ln 1.990 + .0207 ln 1.498) = .272, less 23 (1/2400 + 1/9600) = .012
    assert "requests by_ hour 0.260 major" in text and "events by_ hour 0.000 stable" in text
    assert text.index("requests by_ hour 0.260") < text.index("events by_ hour 0.000")


def test_a_distribution_without_days_before_is_shown_and_not_judged(config: Config) -> None:
    publish(config, "events", rows=2400, metrics={f"by_hour:{n:02d}": 100.0 for n in range(24)})
    assert "events by_ hour – –" in page(config).text


def test_the_first_day_has_nothing_to_be_compared_with(config: Config) -> None:
    publish(config, "requests", rows=50)
    assert "No earlier day is published to compare with." in page(config).text


def test_examples_of_what_was_refused_say_where_but_show_only_the_log_s_own_values(config: Config) -> None:
    rows = [("event", "unknown_action", "action", "<b>hover</b>", n) for n in (7, 3)] + [
        ("event", "unknown_action", "action", "swipe", 1), ("query", "bad_value", "user_query", "gift for anna", 2),
        ("query", "too_long", "client_id", "4711", 9),
    ]
    names = ("kind", "reason", "field", "value", "line")
    table = pa.table({"file": ["dt=1/a.json"] * 5, **{name: [row[i] for row in rows] for i, name in enumerate(names)},
                      "excerpt": ["desk of ben"] * 5})
    publish(config, "quarantine", table=table, rows=4)
    publish(config, "ledger", table=ledger_table(("event", "quarantined", "unknown_action", 3)))
    shown = page(config)
    assert "event: unknown_ action action <b>hover</b> 2 dt=1/a. json: 3" in shown.text
    assert "event: unknown_ action action swipe 1" in shown.text
    assert "query: bad_ value user_ query not shown 1" in shown.text
    assert "query: too_ long client_ id 4711 1" in shown.text
    assert "anna" not in shown.text and "ben" not in shown.text


def test_the_release_stands_beside_the_one_before(config: Config) -> None:
    def release(recall: float, vectors: int) -> dict[str, Any]:
        row = {"truth": "ordered", "search": "ann", "k": 100, "recall": recall}
        return {"k": 100, "recall": [row], "recall_vs_exact": {"10": {"mean": 0.98}}, "vectors": vectors,
                "coverage": {"k": 100, "share": 0.5}}

    publish(config, "release", dt="2026-01-05", facts=release(0.8, 1000))
    publish(config, "release", facts=release(0.6, 1100))
    text = page(config).text
    assert "Beside the release of 2026-01-05" in text
    assert "ordered recall@100 0.8 0.6 -25.0 %" in text
    assert "items in the index 1,000 1,100 +10.0 %" in text
    assert "ordered recall@100 25.0 % 10.0 %" in text and "the number of items in the index 0.0 % 20.0 %" in text


def test_a_blocked_job_comes_first_with_its_reason(config: Config) -> None:
    leave_verdict(config, "ingest_logs", "pass", run_verdict(check("rows", 5)))
    leave_verdict(config, "build_tuples", "block", run_verdict(
        check("rows", 5), check("leaks", 3, success=False, low=None, high=0), dataset="tuples"
    ), reason="tuples: leaks is 3, expected at most 0")
    shown = page(config)
    assert "BLOCK build_tuples was stopped: tuples: leaks is 3, expected at most 0" in shown.text
    checks = shown.text[shown.text.index("Checks block"):]
    assert checks.index("leaks critical at most 0 3 block 2026-01-08") < checks.index("rows critical at least 1 5")
    assert checks.index("tuples") < checks.index("requests")


def test_warnings_are_counted_and_do_not_hide_the_trust(config: Config) -> None:
    leave_verdict(config, "ingest_logs", "warn", run_verdict(
        check("rows", 5), check("hours", 3, severity="warning", success=False, low=20)
    ))
    said = "WARN The day's output may be used, with warnings: 1 of 2 checks failed, none of them critical. Not run: "
    assert said + "ingest_items, label_impressions" in page(config).text
    for name in JOB_NAMES:
        leave_verdict(config, name, "pass", run_verdict(check("rows", 5)))
    assert "PASS The day's output may be trusted: all 11 checks passed. Jobs" in page(config).text


def test_every_job_of_the_chain_has_its_line(config: Config) -> None:
    leave_verdict(config, "train_model", "pass", run_verdict(check("rows", 5)), notes={"loss": 1.25})
    text = page(config).text
    assert "train_model pass 10 5 1.5 no loss 1.25" in text
    assert "publish_release not run for this date" in text


def test_what_stands_in_the_entry_counts_as_published(config: Config) -> None:
    publish(config, "requests", run_id="run-1")
    leave_verdict(config, "ingest_logs", "pass", run_verdict(check("rows", 5)))
    leave_verdict(config, "label_impressions", "pass")
    assert "ingest_logs pass 10 5 1.5 yes" in page(config).text
    assert "label_impressions pass 10 5 1.5 nothing new" in page(config).text
    publish(config, "requests", run_id="run-2")
    assert "ingest_logs pass 10 5 1.5 no" in page(config).text


def test_an_older_entry_can_be_reported(config: Config) -> None:
    publish(config, "index", facts={"lists": 111})
    first = SnapshotLog(config.paths.warehouse).head()
    publish(config, "index", facts={"lists": 222}, run_id="run-2")
    assert "lists 222" in page(config).text
    assert "lists 111" in page(config, first).text


def test_the_page_loads_nothing_from_elsewhere(config: Config) -> None:
    publish_all(config)
    shown = page(config)
    outside = [a for a in shown.addresses if "//" in a or a.startswith("/")]
    assert outside == []
    assert "script" not in shown.tags
    raw = (Path(config.paths.reports) / f"dt={DT}" / "index.html").read_text()
    assert re.findall(r"@import|@font-face|url\((?!#)", raw) == []
    plot_ids = [i for i in shown.ids if "recall" in i or "click" in i]
    assert len(plot_ids) == len(set(plot_ids)) > 0


def test_text_from_elsewhere_is_escaped(config: Config) -> None:
    publish_all(config)
    evil = "<script>alert(1)</script>"
    publish(config, "ledger", table=ledger_table(("query", "quarantined", evil, 3)), run_id="run-2")
    leave_verdict(config, "ingest_logs", "error", reason=evil, notes={evil: evil},
                  inputs={evil: evil})
    shown = page(config)
    assert "script" not in shown.tags
    assert "b" not in shown.tags
    assert evil in shown.text


def test_values_over_several_days_become_one_line_and_the_failing_days_are_named(config: Config) -> None:
    days = [run_verdict(check("rows", n, success=n > 0), dt=f"2026-01-0{n + 1}") for n in range(3)]
    leave_verdict(config, "ingest_logs", "block", *days, reason="r")
    assert "rows critical at least 1 0 block 2026-01-01" in page(config).text
    good = [run_verdict(check("rows", n), dt=f"2026-01-0{n}") for n in range(1, 4)]
    leave_verdict(config, "ingest_logs", "pass", *good)
    text = page(config).text
    assert "1 checks on 3 days" in text
    assert "rows critical at least 1 1 to 3" in text
