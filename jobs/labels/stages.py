"""Stages as of a moment: what the evidence columns of `impressions` said just before a cut.

A stage is reached by the event its evidence names or by a stronger one (a purchase implies a click),
and a purchase or cart that was undone still shows that the item was chosen: it counts as a click.
Attribution and examination look only backwards in time, so that `stage_column(stages, cut)` on today's
rows equals the stage column of a log that ends at the cut (a property test holds this).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from mmse_model.config import StageSettings

if TYPE_CHECKING:
    from pyspark.sql import Column

COLUMNS = (
    "request_ts", "user_refined", "examined_ts", "clicked_ts", "carted_ts", "ordered_ts", "undone_carts",
    "undone_orders",
)
"""The columns of `impressions` that these functions read."""

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def stage_column(stages: Iterable[StageSettings], cut: datetime | None = None) -> Column:
    """Name of the furthest configured stage reached by events strictly before `cut`; null where none is.

    Args:
        stages: The configured stages, weakest first; those with source "stream" are never reached.
        cut: A moment (naive ones are UTC); None takes everything known into account.

    Returns:
        A string Column over the columns `COLUMNS` of `impressions`.
    """
    furthest_first = [
        F.when(_reached(stage.evidence, cut), F.lit(stage.name)) for stage in _furthest_first(stages)
    ]
    return F.coalesce(*furthest_first, F.lit(None).cast("string")).alias("stage")


def last_event_ts_column(stages: Iterable[StageSettings], cut: datetime | None = None) -> Column:
    """Timestamp (UTC) of the event that `stage_column(stages, cut)` rests on; null where there is no stage.

    It is always before `cut`: its maximum over the training rows is what the guard against leaks compares.
    """
    never = F.lit(None).cast("timestamp")
    furthest_first = [F.least(*_evidence(stage.evidence, cut), never) for stage in _furthest_first(stages)]
    return F.coalesce(*furthest_first, never).alias("last_event_ts")


def converted_column(cut: datetime | None = None) -> Column:
    """Whether a click, a cart or an order happened before `cut`, whatever stages are configured."""
    return _reached("clicked", cut).alias("converted")


def _furthest_first(stages: Iterable[StageSettings]) -> list[StageSettings]:
    """The stages that an impression can reach, furthest first."""
    return [s for s in reversed(list(stages)) if s.source == "impression"]


def _reached(evidence: str, cut: datetime | None) -> Column:
    """Whether any of the events that reach this evidence happened before the cut."""
    known = [ts.isNotNull() for ts in _evidence(evidence, cut)]
    return reduce(lambda a, b: a | b, known)


def _evidence(evidence: str, cut: datetime | None) -> list[Column]:
    """Timestamps of the events that reach this evidence, each null where it did not happen before the cut."""
    ordered = [_before(F.col("ordered_ts"), cut), *_undone_later("undone_orders", cut)]
    carted = [_before(F.col("carted_ts"), cut), *_undone_later("undone_carts", cut), *ordered]
    chosen = [F.col("clicked_ts"), F.get(F.col("undone_carts"), F.lit(0)), F.get(F.col("undone_orders"), F.lit(0))]
    clicked = [*(_before(ts, cut) for ts in chosen), *carted]
    examined = F.when(~F.col("user_refined"), _before(F.col("examined_ts"), cut))
    return {
        "none": [_before(F.col("request_ts"), cut)],
        "examined": [examined, *clicked],
        "clicked": clicked,
        "carted": carted,
        "ordered": ordered,
    }[evidence]


def _undone_later(pairs: str, cut: datetime | None) -> list[Column]:
    """First event of `pairs` (done, undone, done, undone, ...) that stood at the cut: its undoing came later."""
    if cut is None:
        return []
    column, moment = F.col(pairs), _moment(cut)
    standing = F.filter(
        column, lambda ts, i: (i % 2 == 0) & (ts < moment) & (F.get(column, i + 1) >= moment)
    )
    return [F.get(standing, F.lit(0))]


def _before(ts: Column, cut: datetime | None) -> Column:
    return ts if cut is None else F.when(ts < _moment(cut), ts)


def _moment(cut: datetime) -> Column:
    """A timestamp literal through microseconds since 1970: no session time zone can shift it."""
    aware = cut if cut.tzinfo else cut.replace(tzinfo=timezone.utc)
    return F.timestamp_micros(F.lit((aware - EPOCH) // timedelta(microseconds=1)))
