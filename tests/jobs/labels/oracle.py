"""The written rules of labelling in plain Python, one request and one event at a time, by exhaustive search.

Nothing here comes from jobs/: two independent readings of the same rules must agree row for row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]
CONVERSIONS = ("click", "add_to_cart", "purchase")


class Oracle:
    """Labels a log; windows as in the configuration."""

    def __init__(
        self, requests: list[Row], events: list[Row], click_minutes: int = 30, order_days: int = 7, below: int = 1,
        own_rankings: tuple[str, ...] = ("relevance", "best_match"), cut: datetime | None = None,
    ) -> None:
        self.click_window, self.order_window = timedelta(minutes=click_minutes), timedelta(days=order_days)
        self.below, self.own_rankings = below, own_rankings
        self.requests = merged(requests)
        self.events = once([e for e in events if cut is None or e["ts"] < cut])
        self._by_action: dict[tuple[str, ...], list[Row]] = {}
        self.counted = self._first_of_each_order()
        self.matches: dict[str, tuple[str, Row]] = {}  # event id -> (rule, request)
        self._attribute()

    # -- attribution -----------------------------------------------------------------

    def _first_of_each_order(self) -> set[str]:
        """Event ids of the purchases that count."""
        orders: dict[tuple[str, str], Row] = {}
        alone = set()
        for e in self._of("purchase"):
            if e["order_id"] is None:
                alone.add(e["event_id"])
            else:
                orders.setdefault((e["order_id"], e["object_id"]), e)
        return alone | {e["event_id"] for e in orders.values()}

    def _of(self, *actions: str) -> list[Row]:
        if actions not in self._by_action:
            chosen = [e for e in self.events if e["action"] in actions]
            self._by_action[actions] = sorted(chosen, key=lambda e: (e["ts"], e["event_id"]))
        return self._by_action[actions]

    def _attribute(self) -> None:
        countable = [e for e in self._of(*CONVERSIONS) if e["action"] != "purchase" or e["event_id"] in self.counted]
        for e in countable:
            own = self.requests.get(e["query_id"])
            if own and self._in_time(own, e):
                self.matches[e["event_id"]] = ("own_query", own)
        for e in self._open("click", countable):
            self._note(e, "session_last_touch", self._last_search_of_session(e))
        own_carts = [c for c in self._of("add_to_cart") if c["event_id"] in self.matches]
        for e in self._open("add_to_cart", countable):
            self._note(e, "last_cart", self._last_standing_cart(e, own_carts))
            self._note(e, "last_clicked_query", self._last_click(e))
        for e in self._open("purchase", countable):
            self._note(e, "last_cart", self._last_standing_cart(e, self._of("add_to_cart")))
            self._note(e, "last_clicked_query", self._last_click(e))

    def _open(self, action: str, events: list[Row]) -> list[Row]:
        return [e for e in events if e["action"] == action and e["event_id"] not in self.matches]

    def _note(self, e: Row, rule: str, found: Row | None) -> None:
        if found is not None and e["event_id"] not in self.matches:
            self.matches[e["event_id"]] = (rule, found)

    def _in_time(self, request: Row, e: Row) -> bool:
        return timedelta(0) <= e["ts"] - request["ts"] <= self.order_window

    def _last_search_of_session(self, e: Row) -> Row | None:
        who = identity(e)
        if who is None or e["session_id"] is None:
            return None
        showing = [
            r for r in self.requests.values()
            if identity(r) == who and r["session_id"] == e["session_id"] and e["object_id"] in r["hit_ids"]
            and timedelta(0) <= e["ts"] - r["ts"] <= self.click_window
        ]
        return max(showing, key=lambda r: (r["ts"], r["query_id"]), default=None)

    def _before(self, e: Row, events: list[Row]) -> list[Row]:
        """Attributed events of the same identity and item, no later than `e`, oldest first."""
        who = identity(e)
        same = [
            c for c in events
            if who is not None and identity(c) == who and c["object_id"] == e["object_id"] and c["ts"] <= e["ts"]
            and c["event_id"] != e["event_id"] and c["event_id"] in self.matches
        ]
        return sorted(same, key=lambda c: (c["ts"], self.matches[c["event_id"]][1]["query_id"]))

    def _last_standing_cart(self, e: Row, carts: list[Row]) -> Row | None:
        before = self._before(e, carts)
        if not before:
            return None
        cart = before[-1]
        if any(cart["ts"] <= m["ts"] <= e["ts"] for m in self._undoings(cart)):
            return None
        return self._usable(cart, e)

    def _last_click(self, e: Row) -> Row | None:
        before = self._before(e, self._of("click"))
        return self._usable(before[-1], e) if before else None

    def _usable(self, earlier: Row, e: Row) -> Row | None:
        request = self.matches[earlier["event_id"]][1]
        return request if self._in_time(request, e) else None

    def _matched(self, e: Row) -> str | None:
        """Query id of the request that the event belongs to."""
        match = self.matches.get(e["event_id"])
        return match[1]["query_id"] if match else None

    # -- undoing ---------------------------------------------------------------------

    def _undoings(self, e: Row) -> list[Row]:
        """Events that undo `e` if they come at or after it."""
        who = identity(e)
        if e["action"] == "add_to_cart":
            same = [m for m in self._of("remove_from_cart") if who is not None and identity(m) == who]
        elif e["order_id"] is not None:
            same = [m for m in self._of("refund") if m["order_id"] == e["order_id"]]
        else:
            same = [m for m in self._of("refund") if m["order_id"] is None and who is not None and identity(m) == who]
        return [m for m in same if m["object_id"] == e["object_id"]]

    def undone_ts(self, e: Row) -> datetime | None:
        """When `e` was undone, before its label was closed."""
        if e["action"] == "click" or (e["action"] == "purchase" and e["event_id"] not in self.counted):
            return None
        match = self.matches.get(e["event_id"])
        closed = (match[1]["ts"] if match else e["ts"]) + self.order_window
        first = min((m["ts"] for m in self._undoings(e) if m["ts"] >= e["ts"]), default=None)
        return first if first is not None and first <= closed else None

    # -- results ---------------------------------------------------------------------

    def attributions(self) -> dict[str, tuple[str, str | None, datetime | None]]:
        """event_id -> (rule, query_id, undone_ts)."""
        found = {}
        for e in self._of(*CONVERSIONS):
            rule, request = self.matches.get(e["event_id"], ("none", None))
            if e["action"] == "purchase" and e["event_id"] not in self.counted:
                rule = "repeated_order"
            found[e["event_id"]] = (rule, request and request["query_id"], self.undone_ts(e))
        return found

    def impressions(self) -> dict[tuple[str, str], Row]:
        """(query_id, object_id) -> the labelled impression."""
        found = {}
        for query_id, request in self.requests.items():
            acted = [e for e in self._of(*CONVERSIONS) if self._matched(e) == query_id]
            seen = [e for e in self._of("impression") if e["query_id"] == query_id and self._in_time(request, e)]
            items = dict.fromkeys([*request["hit_ids"], *(e["object_id"] for e in acted + seen)])
            clicks = [place for item in items for place in self._click_places(request, item, acted)]
            for item in items:
                found[query_id, item] = self._impression(request, item, acted, seen, clicks)
        return found

    def _rank(self, request: Row, item: str) -> int | None:
        """Absolute position in the hit list, None outside it."""
        if item not in request["hit_ids"]:
            return None
        page, size = request["page"] or 1, request["page_size"] or len(request["hit_ids"])
        return (page - 1) * size + request["hit_ids"].index(item) + 1

    def _click_places(self, request: Row, item: str, acted: list[Row]) -> list[tuple[int, datetime]]:
        clicks = [e for e in acted if e["object_id"] == item and e["action"] == "click"]
        rank = self._rank(request, item)
        if rank is not None:
            return [(rank, e["ts"]) for e in clicks]
        placed = sorted((e["ts"], e["position"]) for e in clicks if e["position"] is not None)
        return [(placed[0][1], placed[0][0])] if placed else []

    def _impression(
        self, request: Row, item: str, acted: list[Row], seen: list[Row], clicks: list[tuple[int, datetime]]
    ) -> Row:
        mine = [e for e in acted if e["object_id"] == item]
        views = [e for e in seen if e["object_id"] == item]
        rank = self._rank(request, item)
        showing = [e["ts"] for e in mine + views]
        if rank is not None:
            showing += [ts for position, ts in clicks if position >= rank - self.below]
        positions = [e["position"] for e in mine + views if e["position"] is not None]

        def standing(action: str) -> list[Row]:
            return [e for e in mine if e["action"] == action and self.undone_ts(e) is None]

        def pairs(action: str) -> list[datetime]:
            undone = sorted((e["ts"], self.undone_ts(e)) for e in mine if e["action"] == action and self.undone_ts(e))
            return [ts for pair in undone for ts in pair]

        refined = (request["sort"] or "").lower() not in ("", *self.own_rankings) or bool(request["filters"])
        row = {
            "request_ts": request["ts"], "position": rank if rank is not None else min(positions, default=None),
            "implied": not views, "user_refined": refined, "examined": bool(showing),
            "examined_ts": min(showing, default=None),
            "clicked_ts": first(standing("click")), "carted_ts": first(standing("add_to_cart")),
            "ordered_ts": first(standing("purchase")),
            "undone_carts": pairs("add_to_cart"), "undone_orders": pairs("purchase"),
            "attribution_rule": self._rule([standing("purchase"), standing("add_to_cart"), standing("click"), mine]),
            "event_date": request["event_date"],
        }
        row["stage"] = stage(row, touched=bool(mine))
        return row

    def _rule(self, by_strength: list[list[Row]]) -> str | None:
        """Rule of the first event of the strongest kind there is."""
        for events in by_strength:
            if events:
                return min((e["ts"], self.matches[e["event_id"]][0]) for e in events)[1]
        return None


def stage(row: Row, touched: bool) -> str | None:
    """Furthest of unclicked, clicked, carted, ordered."""
    if row["ordered_ts"]:
        return "ordered"
    if row["carted_ts"]:
        return "carted"
    if touched:
        return "clicked"
    return "unclicked" if row["examined"] and not row["user_refined"] else None


def first(events: list[Row]) -> datetime | None:
    return min((e["ts"] for e in events), default=None)


def identity(row: Row) -> tuple[str, str] | None:
    for name in ("user_key", "client_id", "session_id"):
        if row.get(name) is not None:
            return name, row[name]
    return None


def merged(documents: list[Row]) -> dict[str, Row]:
    """query_id -> request; each field from the earliest document that has it."""
    names = ("session_id", "client_id", "user_key", "page", "page_size", "filters", "sort", "hit_ids")
    requests: dict[str, Row] = {}
    for document in sorted(documents, key=lambda d: d["ts"]):
        request = requests.setdefault(document["query_id"], {
            "query_id": document["query_id"], "ts": document["ts"], "event_date": document["event_date"],
            **dict.fromkeys(names),
        })
        for name in names:
            if not request[name]:
                request[name] = document.get(name) or None
    for request in requests.values():
        request["hit_ids"] = request["hit_ids"] or []
    return requests


def once(events: list[Row]) -> list[Row]:
    """Each event id once: its earliest copy."""
    earliest: dict[str, Row] = {}
    for e in events:
        kept = earliest.get(e["event_id"])
        if kept is None or e["ts"] < kept["ts"]:
            earliest[e["event_id"]] = {"position": None, "order_id": None, "query_id": None, **e}
    return list(earliest.values())
