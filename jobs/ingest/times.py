"""Times are read as strings and parsed by rule; nothing depends on the session's time zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

DAY_US = 86_400_000_000
EARLIEST_S = 946_684_800  # 2000-01-01: an older time is a unit taken for another, not a search

_ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)? ?(Z|[+-]\d\d(:?\d\d)?)?$"
_ZONED = r"(Z|[+-]\d\d(:?\d\d)?)$"
_EPOCH = r"^\d{9,17}(\.\d+)?([eE]\+?\d+)?$|^\d\.\d+[eE]\+?\d{1,2}$"


def is_epoch(text: Column) -> Column:
    """Whether a time is written as a number."""
    return text.rlike(_EPOCH)


def is_zoneless(text: Column) -> Column:
    """Whether a time is ISO without a zone."""
    return text.rlike(_ISO) & ~_has_zone(text)


def parse_time(text: Column, zone: str) -> Column:
    """A UTC timestamp from ISO with a zone, ISO without one (`zone` is meant), or epoch s, ms or us; else null.

    The unit of an epoch follows from its size: s below 1e11 (year 5138), ms below 1e14,
    us below 1e17. A time before 2000 is null too.
    """
    parsed = F.when(is_epoch(text), _from_epoch(text)).when(text.rlike(_ISO), _from_iso(text, zone))
    return F.when(F.unix_micros(parsed) >= EARLIEST_S * 1_000_000, parsed)


def utc_date(ts: Column) -> Column:
    """The UTC day of a timestamp, whatever the session's time zone."""
    return F.date_add(F.lit("1970-01-01").cast("date"), F.floor(F.unix_micros(ts) / DAY_US).cast("int"))


def _has_zone(text: Column) -> Column:
    return F.substring(text, 11, 40).rlike(_ZONED)


def _from_iso(text: Column, zone: str) -> Column:
    with_seconds = F.regexp_replace(text, r"^(.{10}[T ]\d\d:\d\d)($|[Z+ -])", "$1:00$2")
    clean = F.regexp_replace(with_seconds, ",", ".")
    zoned = clean.try_cast("timestamp")
    naive = F.concat(clean, F.lit("Z")).try_cast("timestamp")
    return F.when(_has_zone(text), zoned).otherwise(naive if zone == "UTC" else F.to_utc_timestamp(naive, zone))


def _from_epoch(text: Column) -> Column:
    number = text.try_cast("decimal(26,6)")
    micros = (
        F.when(number < F.lit(10**11), number * F.lit(1_000_000))
        .when(number < F.lit(10**14), number * F.lit(1_000))
        .when(number < F.lit(10**17), number)
    )
    return F.timestamp_micros(micros.cast("bigint"))
