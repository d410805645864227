"""The simulated days. Times are epoch milliseconds (bigint) until written: no session time zone matters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, ClassVar

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Timeline:
    """`days` days that end at `last`, inclusive."""

    last: date
    days: int
    DAY: ClassVar[int] = 86_400_000
    HOUR: ClassVar[int] = 3_600_000
    MINUTE: ClassVar[int] = 60_000
    SECOND: ClassVar[int] = 1_000

    @property
    def first(self) -> date:
        """The first day."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def start(self) -> int:
        """Midnight UTC of the first day, epoch ms."""
        return (self.first - EPOCH).days * self.DAY

    @property
    def length(self) -> int:
        """All days together, ms."""
        return self.days * self.DAY

    @property
    def names(self) -> list[str]:
        """The days as YYYY-MM-DD, ascending."""
        return [(self.first + timedelta(days=n)).isoformat() for n in range(self.days)]


def day_of(ms: Column) -> Column:
    """The UTC date of a time."""
    return F.date_add(F.lit(EPOCH), F.floor(ms / Timeline.DAY).cast("int"))


def iso(ms: Column) -> Column:
    """ISO-8601 in UTC with milliseconds and Z; null stays null."""
    def digits(value: Column, width: int) -> Column:
        return F.lpad(value.cast("bigint").cast("string"), width, "0")

    inside = F.pmod(ms, F.lit(Timeline.DAY).cast("bigint"))
    hours, minutes = F.floor(inside / Timeline.HOUR), F.pmod(F.floor(inside / Timeline.MINUTE), F.lit(60))
    seconds, rest = F.pmod(F.floor(inside / Timeline.SECOND), F.lit(60)), F.pmod(inside, F.lit(1_000))
    return F.concat(
        day_of(ms).cast("string"), F.lit("T"), digits(hours, 2), F.lit(":"), digits(minutes, 2), F.lit(":"),
        digits(seconds, 2), F.lit("."), digits(rest, 3), F.lit("Z"),
    )
