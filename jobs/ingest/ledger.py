"""The ledger: what became of every raw record, held against what was counted and committed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from schemas import LEDGER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Row = dict[str, Any]
COUNTED = ("arrival_date", "file", "kind", "disposition", "reason")


def ledger_rows(parts: Iterable[DataFrame], rules: Sequence[str]) -> tuple[list[Row], dict[str, dict[str, int]]]:
    """The ledger as rows, and for each day how often each tolerance rule was used.

    Every part has COUNTED, `record` and `tolerated` (bits of `rules`). The rows are as many as files times
    reasons, so they fit the driver.
    """
    rows: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    tolerances: dict[str, Counter[str]] = defaultdict(Counter)
    bits = [F.col("tolerated").bitwiseAND(F.lit(1 << n).cast("bigint")) for n in range(len(rules))]
    sums = [F.count_if(bit != 0).alias(name) for bit, name in zip(bits, rules)]
    for part in parts:
        counts = [F.count_if(F.col("record") == 1).alias("records"), F.count_if(F.col("record") > 1).alias("derived")]
        for row in part.groupBy(*COUNTED).agg(*counts, *sums).collect():
            rows[tuple(row[c] for c in COUNTED)].update({name: row[name] for name in ("records", "derived")})
            tolerances[str(row["arrival_date"])].update({name: row[name] for name in rules if row[name]})
    listed = [{**dict(zip(COUNTED, key)), **counted} for key, counted in sorted(rows.items())]
    return listed, {day: dict(sorted(used.items())) for day, used in tolerances.items()}


def ledger_frame(spark: Any, rows: Sequence[Row]) -> DataFrame:
    """The rows as a frame with the columns of the ledger and arrival_date."""
    kinds = ", ".join(f"{c.name} {c.type}" for c in LEDGER.columns)
    return spark.createDataFrame([tuple(r[c] for c in ("arrival_date", *LEDGER.column_names)) for r in rows],
                                 f"arrival_date date, {kinds}")


def conservation(
    ledger: DataFrame, counted: Mapping[str, int], committed: Mapping[str, Mapping[str, int]]
) -> dict[str, tuple[dict[str, int], dict[str, float]]]:
    """For each day its facts and the metric `unaccounted_records`, 0 where everything adds up.

    `ledger` is read back from its committed files; `counted` maps a raw file to the lines that Spark's text
    source counts in it, `committed` a dataset to its committed rows by day. The metric adds up, over the files
    of a day, |lines - records|, and |rows - (records + derived)| of accepted queries, accepted events and quarantined records.
    """
    rows = [row.asDict() for row in ledger.collect()]
    off = unaccounted(rows, counted, committed)
    raw = Counter({day: 0 for day in off})
    for file, lines in counted.items():
        raw[day_of_file(file)] += lines
    return {day: ({"raw_lines": raw[day]}, {"unaccounted_records": float(n)}) for day, n in off.items()}


def unaccounted(
    rows: Iterable[Row], counted: Mapping[str, int], committed: Mapping[str, Mapping[str, int]]
) -> dict[str, int]:
    """Records that do not add up, by day, as `conservation` defines them."""
    by_file: Counter[str] = Counter()
    by_output: Counter[tuple[str, str]] = Counter()
    for row in rows:
        by_file[row["file"]] += row["records"]
        by_output[_output(row), day_of_file(row["file"])] += row["records"] + row["derived"]
    off = dict.fromkeys(sorted(day for by_day in committed.values() for day in by_day), 0)
    for file in set(by_file) | set(counted):
        off[day_of_file(file)] += abs(by_file[file] - counted.get(file, 0))
    for dataset, by_day in committed.items():
        for day, there in by_day.items():
            off[day] += abs(by_output[dataset, day] - there)
    return off


def _output(row: Row) -> str:
    """The dataset that a record of this ledger row is in; '' where in none."""
    if row["disposition"] == "accepted":
        return {"query": "requests", "event": "events"}.get(row["kind"], "")
    return "quarantine" if row["disposition"] == "quarantined" else ""


def day_of_file(name: str) -> str:
    """`dt=2026-01-08/queries.json` -> `2026-01-08`."""
    return name.partition("/")[0].removeprefix("dt=")
