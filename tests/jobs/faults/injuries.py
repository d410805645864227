"""What a producer may do to a day's feed: each takes the files of a kind as lists of JSON documents and returns what is delivered."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Injury = Callable[[list[Document]], list[Document]]


def rewrite(day: Path, kind: str, injury: Injury) -> None:
    """Injures every file of a kind below a raw day; the producer's list of files goes, for it would tell at once."""
    (day / "_PRODUCER.json").unlink(missing_ok=True)
    for path in sorted(day.glob(f"{kind}-*.json.gz")):
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        kept = injury([document for line in lines if (document := parsed(line)) is not None])
        path.write_bytes(gzip.compress("".join(json.dumps(d) + "\n" for d in kept).encode(), mtime=0))


def deliver_again(day: Path) -> None:
    """Every search and event file a second time, under another name."""
    (day / "_PRODUCER.json").unlink(missing_ok=True)
    for path in [*day.glob("queries-*.json.gz"), *day.glob("events-*.json.gz")]:
        path.with_name(path.name.replace("-", "-again-", 1)).write_bytes(path.read_bytes())


def parsed(line: str) -> Document | None:
    """The document of a line; None where the simulator damaged it."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def every_second(documents: list[Document]) -> list[Document]:
    return documents[::2]


def four_fifths(documents: list[Document]) -> list[Document]:
    return [d for n, d in enumerate(documents) if n % 5]


def hour_of(document: Document) -> str:
    return str(document.get("timestamp"))[:13]


def busiest_hour(day: Path) -> str:
    """The hour of the day, such as 2026-01-09T20, with the most events."""
    hours: Counter[str] = Counter()
    for path in day.glob("events-*.json.gz"):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            hours[hour_of(parsed(line) or {})] += 1
    return max((hour for hour in hours if hour.startswith(day.name[3:])), key=lambda hour: hours[hour])


def without(hour: str) -> Injury:
    return lambda documents: [d for d in documents if hour_of(d) != hour]


def changed(change: Callable[[Document], None], every: int = 1) -> Injury:
    """Changes each `every`-th document in place."""
    def injure(documents: list[Document]) -> list[Document]:
        for document in documents[::every]:
            change(document)
        return documents

    return injure


def positions_moved(by: int) -> Callable[[Document], None]:
    def move(event: Document) -> None:
        position = event.get("event_attributes", {}).get("position")
        if position:
            position["ordinal"] += by

    return move


def of_no_item(event: Document) -> None:
    event.get("event_attributes", {}).pop("object", None)


def of_another_search(event: Document) -> None:
    event["query_id"] = "other-" + str(event.get("query_id"))


def teleported(event: Document) -> None:
    event["action_name"] = "teleport"


def in_cents(item: Document) -> None:
    if item.get("price") is not None:
        item["price"] *= 100


def clicks_twice(documents: list[Document]) -> list[Document]:
    return documents + [d for d in documents if d.get("action_name") == "click"]
