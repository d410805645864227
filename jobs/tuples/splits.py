"""Which request belongs to training, validation or test, and what each may know.

The window ends at the date: its last `tuples.test_days` are the test, the `tuples.validation_days` before them the
validation, the rest is training. Labels of a split are as of the moment the next split begins, so that no label of
training rests on an event that a model trained then could not have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.runtime.errors import ConfigError
from schemas.tuples import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.config import Config

TRAIN, VALIDATION, TEST = SPLITS
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Window:
    """The moments (UTC) that bound the splits; each split begins where the one before ended."""

    start: datetime
    cut: datetime
    """Training requests, and the events that label them, are before this."""
    validation: datetime
    """Equal to `cut` but for the configured gap."""
    test: datetime
    end: datetime

    @staticmethod
    def of(config: Config, day: date) -> Window:
        """The window that ends with `day`. Raises ConfigError where no training day is left."""
        settings, days = config.tuples, config.train.window_days
        held_out = settings.validation_days + settings.test_days
        if held_out >= days:
            raise ConfigError(
                f"tuples.validation_days + tuples.test_days = {held_out}; expected fewer than "
                f"train.window_days = {days}"
            )
        end = datetime.combine(day, time(), timezone.utc) + timedelta(days=1)
        test = end - timedelta(days=settings.test_days)
        validation = test - timedelta(days=settings.validation_days)
        cut = validation - timedelta(minutes=settings.gap_minutes)
        return Window(end - timedelta(days=days), cut, validation, test, end)

    def split(self, ts: Column) -> Column:
        """Name of the split that a request of this moment belongs to; null outside and in the gap."""
        return (
            F.when(within(ts, self.start, self.cut), F.lit(TRAIN))
            .when(within(ts, self.validation, self.test), F.lit(VALIDATION))
            .when(within(ts, self.test, self.end), F.lit(TEST))
        )

    def labels_as_of(self) -> dict[str, datetime | None]:
        """Until when events may label the requests of each split; None is everything known."""
        return {TRAIN: self.cut, VALIDATION: self.test, TEST: None}


def within(ts: Column, start: datetime, stop: datetime) -> Column:
    """Whether start <= ts < stop."""
    return (ts >= moment(start)) & (ts < moment(stop))


def moment(at: datetime) -> Column:
    """A timestamp literal that no session time zone can shift."""
    return F.timestamp_micros(F.lit((at - EPOCH) // timedelta(microseconds=1)))


def session_key() -> Column:
    """The session of a request; one without a session stands for itself."""
    return F.coalesce("session_id", F.concat(F.lit("query "), "query_id"))


def assign_splits(requests: DataFrame, window: Window) -> DataFrame:
    """The requests of the window with `split`, null where they belong to none, and `loss`, which says why.

    `requests` holds `ts, session, held_out`. A session that spans a boundary stays whole in the split of its first
    request: its later requests are left out (`session`), because the intent behind them was already seen. What is
    held out is no training request (`held_out`).
    """
    dated = requests.withColumn("split", window.split(F.col("ts"))).where(F.col("split").isNotNull())
    first = dated.groupBy("session").agg(F.min("ts").alias("_first"), F.max("ts").alias("_last"))
    began = window.split(F.col("_first"))
    spanning = first.where(began != window.split(F.col("_last"))).select("session", began.alias("_began"))
    joined = dated.join(spanning, "session", "left")
    loss = F.when(F.col("_began") != F.col("split"), "session").when(
        F.col("held_out") & (F.col("split") == TRAIN), "held_out"
    )
    return joined.withColumn("loss", loss).withColumn("split", F.when(F.col("loss").isNull(), F.col("split"))).drop("_began")
