"""Hostile records: what somebody might send who wants the pipeline to stop, to swell or to show people."""

from __future__ import annotations

import json
from typing import Any

from tests.jobs.ingest_cases import D1, event, query

MB = 1 << 20
HUGE = 10 * MB
MAIL = "anna@example.com"


def hostile_log() -> list[dict[str, Any] | str]:
    """Four records that are sound, 17 that are not."""
    sound = [query(), event(), query("huge", "usb " * (HUGE // 4)), event(object_id="../../../etc/passwd", ts=f"{D1}T11:00:00Z")]
    ids = [
        query("q" * MB), event(object_id="p" * MB), event(event_id="e" * MB), event(user_id="u" * MB), event(client_id="c" * MB),
        query("hits", query_response_hit_ids=["p" * MB]), query("filters", query_attributes={"filters": ["f" * MB]}),
    ]
    lists = [query("many", query_response_hit_ids=["p"] * 10_001)]
    numbers = [event(attributes={"price": p}) for p in ("NaN", "Infinity", float("nan"))] + [event(ordinal=10**400)]
    nested = ['{"a":' * 5_000 + "1" + "}" * 5_000, "[" * 100_000, '{"user_query":' + "[" * 100_000, '{"user_id":"' + "a" * MB]
    return [*sound, *ids, *lists, event(action="a" * MB), *numbers, *nested]


def item(object_id: str, **changes: Any) -> str:
    """A line of the catalogue."""
    body = {"object_id": object_id, "title": f"Title of {object_id}", "price": 9.5, "valid_from": "2026-01-01T00:00:00Z"}
    return json.dumps({**body, **changes})


def refused_items() -> list[tuple[str, str]]:
    """(reason, line)"""
    no_json = [item("nan", price=float("nan")), item("inf", price=float("inf")), '{"a":' * 5_000 + "1" + "}" * 5_000]
    prices = [item(f"price-{n}", price=p) for n, p in enumerate(("NaN", "Infinity", "1e999", 1e10, -1, "9" * 1_000))]
    long = [(f"{name}_too_long", item(f"long-{name}", **{name: "x" * MB})) for name in ("title", "brand", "category_path", "shop", "locale")]
    return [
        ("object_id_too_long", item("p" * MB)), *long, *[("bad_price", line) for line in prices],
        ("blank_title", item("blank", title="\u0000\u001b")), *[("not_json", line) for line in no_json],
    ]
