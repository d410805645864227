"""The report of an experiment as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TEXTS = {"cvr": "CVR, items ordered per session", "ctr": "CTR, items clicked per session"}


def printed(report: Mapping[str, Any]) -> Iterator[str]:
    """What met, who took part, what both tests say of each metric, and how often they are wrong on A/A."""
    yield f"SIMULATION of an online experiment: {report['label']}"
    for side in ("a", "b"):
        yield f"  {side.upper()}  {report[side]['name']}, {report[side]['vectors']:,} items: {_pages(report[side]['pages'])}"
    who = report["population"]
    days, times = ", ".join(report["days"]), f", each {report['copies']:,} times" if report["copies"] > 1 else ""
    yield (
        f"  {who['users']:,} of {who['all_users']:,} users of {days}{times}: A {who['users_a']:,}, "
        f"B {who['users_b']:,}; {who['sessions']:,} sessions, {who['requests']:,} requests, {who['queries']:,} queries, "
        f"{report['candidates']} candidates each"
    )
    yield from (f"  note: {note}" for note in report["notes"])
    for metric, figures in report["metrics"].items():
        yield from _metric(TEXTS[metric], figures, report["alpha"])
    if report["aa"]:
        yield from _aa(report["aa"], report["alpha"])


def _pages(pages: Mapping[str, float]) -> str:
    return (
        f"{pages['items']:.1f} items a page, mean P(click) {pages['click']:.4f}, P(order) {pages['order']:.4f} when examined, "
        f"{pages['unknown']:.1%} of another product"
    )


def _metric(text: str, figures: Mapping[str, Any], alpha: float) -> Iterator[str]:
    fixed, sequential, expected = figures["fixed"], figures["sequential"], figures["expected"]
    yield f"  {text}: A {fixed['a']:.4f}, B {fixed['b']:.4f}"
    yield f"    fixed horizon    B - A {_interval(fixed)}, {_uplift(fixed)}, p = {fixed['p']:.4f}"
    look = sequential["stopped_at"]
    verdict = "never excludes zero" if look is None else f"excludes zero at look {look}, after {sequential['users']:,} users"
    yield (
        f"    sequential       B - A {_interval(sequential)} after {len(figures['looks'])} looks, always-valid "
        f"p = {sequential['p']:.4f}: {verdict}"
    )
    yield (
        f"    expected         B - A {_interval(expected)}: A {expected['a']:.4f}, B {expected['b']:.4f} if everybody were on "
        f"one side, over users ({1 - alpha:.0%})"
    )


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['difference']:+.4f} [unbounded]"
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def _uplift(row: Mapping[str, Any]) -> str:
    if row["uplift"] is None:
        return "no uplift of 0"
    return f"{row['uplift']:+.1%} [{row['uplift_low']:+.1%}, {row['uplift_high']:+.1%}]"


def _aa(aa: Mapping[str, Any], alpha: float) -> Iterator[str]:
    yield f"  A/A, both sides A, {aa['repeats']:,} repeats in {aa['seconds']:.1f} s: false positives at alpha {alpha:g}"
    for metric, rates in aa["rates"].items():
        cells = "; ".join(f"{test} {rate:.1%} [{low:.1%}, {high:.1%}]" for test, (rate, low, high) in rates.items())
        yield f"    {metric.upper()}  {cells}"
