"""The report page: one static file per date that says whether the day may be trusted, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from jobs.index.choosing import Row
from jobs.index.pareto import pareto_svg
from jobs.report import drift, flow, quality
from jobs.report.data_docs import build_data_docs
from jobs.report.distributions import shifts
from jobs.report.pages import render_page, write_page
from jobs.report.published import Published
from jobs.report.recall import graded_table, recall_section, strata_tables
from jobs.report.refused import examples
from jobs.report.release import Comparison, compare
from jobs.report.split import split_section
from jobs.runtime.config import Config
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import Entry


def build_report(config: Config, day: date, entry: Entry | None = None) -> Path:
    """Writes the page of a date and the Data Docs it links to; returns the page's path.

    The page shows what `entry` (default: the newest) publishes for the date and the last
    attempt of every job; a part that is not there says so. No id of a user is on it, of a refused record only its place and
    a value that is the log's own, and of query texts only those that `readable_queries` lets through.
    """
    reports = Path(config.paths.reports)
    dt = day.isoformat()
    target = reports / f"dt={dt}" / "index.html"
    docs = {(p.job, p.dataset): f"../{p.href}" for p in build_data_docs(reports, dt)}
    write_page(target, render_page("report.html.j2", **report_values(config, dt, Published(config, entry), docs)))
    return target


def report_values(
    config: Config, dt: str, published: Published, docs: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """Everything the template names."""
    verdicts = quality.read_verdicts(Path(config.paths.reports), dt)
    word, sentence = quality.headline(verdicts)
    return {
        "dt": dt, "word": word, "sentence": sentence, "made_at": datetime.now(timezone.utc).isoformat(" ", "minutes"),
        "entry": published.entry, "jobs": quality.job_lines(verdicts, published.entry),
        "checks": quality.dataset_checks(verdicts, dict(docs)), "has_docs": bool(docs),
        "manifests": published.manifests(dt), "verdicts": verdicts, "config_hash": config.hash(),
        "drift": drift.drift_lines(published, dt), "drift_shown": drift.SHOWN, "shifts": shifts(published, dt),
        **flow_values(config, published, dt), **model_values(published, dt), "beside": beside(config, published, dt),
    }


def flow_values(config: Config, published: Published, dt: str) -> dict[str, Any]:
    """Waterfall, reasons, tolerance, bots, queries, funnel, positions, attribution, maturity."""
    ledger, ingested = published.ledger(dt), _facts(published.manifest("ledger", dt))
    impressions = _facts(published.manifest("impressions", dt))
    attributions = _facts(published.manifest("attributions", dt))
    stages = [s.name for s in config.stages if s.source == "impression"]
    days = [d for d in published.entry.days("impressions") if d <= dt][-config.labels.window_days :]
    labelled = [m for m in (published.manifest("impressions", d) for d in days) if m is not None]
    return {
        "waterfalls": None if ledger is None else flow.waterfalls(ledger),
        "reasons": None if ledger is None else flow.reasons(ledger),
        "examples": examples(published.refused(dt)),
        "tolerance": _nested(ingested, "tolerances"),
        "bots": flow.bot_rules(ingested["bots"], ledger) if ledger is not None and "bots" in ingested else None,
        "queries": _facts(published.manifest("vocabulary", dt)).get("queries"),
        "funnel": flow.funnel(impressions["funnel"], stages) if "funnel" in impressions else None,
        "ctr_plot": flow.click_rate_plot(impressions.get("clicks_by_position", ())),
        "rules": flow.rule_table(attributions["rules"]) if "rules" in attributions else None,
        "maturity": flow.maturity(labelled),
    }


def model_values(published: Published, dt: str) -> dict[str, Any]:
    """Split, recall, index, release."""
    tuples = published.manifest("tuples", dt)
    evaluation = published.manifest("evaluation", dt)
    index = published.manifest("index", dt)
    release = published.manifest("release", dt)
    return {
        "split": None if tuples is None else split_section(tuples),
        "recall": None if evaluation is None else recall_section(evaluation.facts),
        "graded": None if evaluation is None else graded_table(evaluation.facts),
        "look": None if evaluation is None else evaluation.facts.get("look"),
        "strata": None if evaluation is None else strata_tables(evaluation.facts),
        "index": None if index is None else index_figures(index),
        "searches": None if index is None or "tuning" not in index.facts else searches_plot(index.facts["tuning"]),
        "release": None if release is None else figures_of(release),
    }


def beside(config: Config, published: Published, dt: str) -> Comparison | None:
    """The release of the day beside the newest of an earlier day; None where either is missing."""
    now, days = published.manifest("release", dt), [day for day in published.entry.days("release") if day < dt]
    before = published.manifest("release", days[-1]) if days else None
    return compare(days[-1], before.facts, now.facts, config.release) if now and before else None


def index_figures(index: Manifest) -> list[tuple[str, Any]]:
    """The codec, what the build measured and what it was built with."""
    codec = [("codec", index.facts["codec"])] if "codec" in index.facts else []
    return codec + figures_of(index)


def searches_plot(tuning: Mapping[str, Any]) -> str:
    """The settings that were tried when the index was tuned."""
    rows = [Row(**row) for row in tuning["rows"]]
    return pareto_svg(rows, Row(**tuning["chosen"]), tuning["target"], tuning["k"])


def figures_of(manifest: Manifest) -> list[tuple[str, Any]]:
    """Metrics and the numbers among the facts; one that is both is shown once."""
    return list(dict(flow.plain_facts(manifest.metrics) + flow.plain_facts(manifest.facts)).items())


def _facts(manifest: Manifest | None) -> Mapping[str, Any]:
    return manifest.facts if manifest else {}


def _nested(facts: Mapping[str, Any], name: str) -> list[tuple[str, Any]] | None:
    """The numbers of one nested fact; None where it is absent."""
    return flow.plain_facts(facts[name]) if name in facts else None
