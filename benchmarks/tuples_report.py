"""What the benchmark of `build_tuples` has measured, as figures and as Markdown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.fit import growth, line, plane
from benchmarks.machine import machine
from benchmarks.stages import Cost
from benchmarks.tuples_driver import DriverMemory


@dataclass(frozen=True)
class Measured:
    """One size: rows as published, medians of seconds of a run and of the reference, and processor seconds of a run."""

    impressions: int
    items: int
    requests: int
    tuples: int
    stream: int
    tuple_bytes: int
    seconds: float
    cpu_seconds: float
    reference_seconds: float
    """0 where the reference was left out."""

    @property
    def ratio(self) -> float | None:
        """Seconds of the job for one of the reference."""
        return round(self.seconds / self.reference_seconds, 2) if self.reference_seconds else None


Scans = dict[int, float]
"""Items -> seconds of one full scan of the item table."""


def report(
    measured: list[Measured], scans: Scans, cost: Cost, drivers: dict[int, DriverMemory], peak_mib: float
) -> dict[str, Any]:
    """The figures of the last line; `measured` ends with the largest size, whose stages are `cost`."""
    largest, few = measured[-1], min(m.items for m in measured)
    rising = [m for m in measured if m.items == few]
    return {
        "impressions": largest.impressions, "items": largest.items, "seconds": largest.seconds,
        "rows_per_second": round(largest.impressions / largest.seconds), "ratio_to_single_node": largest.ratio,
        "growth": _rounded(growth([(m.impressions, m.seconds) for m in rising])),
        "growth_of_processor_seconds": _rounded(growth([(m.impressions, m.cpu_seconds) for m in rising])),
        **driver_figures(drivers), "shuffle_bytes": cost.shuffle_bytes, "spill_bytes": cost.disk_spill_bytes,
        "memory_spill_bytes": cost.memory_spill_bytes, "bytes_per_row": round(largest.tuple_bytes / largest.tuples, 1),
        **fitted(measured, scans), "item_table_scans": cost.scans().get("items", 0), "peak_jvm_mib": peak_mib, **machine(),
        "scans": {str(items): seconds for items, seconds in scans.items()}, "sizes": [asdict(m) for m in measured],
    }


def fitted(measured: list[Measured], scans: Scans) -> dict[str, float]:
    """The plane through all sizes, what it misses at most, and the cost of an item beside one scan of it."""
    a, b, c = plane([(m.impressions, m.items, m.seconds) for m in measured])
    _, _, processor = plane([(m.impressions, m.items, m.cpu_seconds) for m in measured])
    missed = max(abs(a + b * m.impressions + c * m.items - m.seconds) / m.seconds for m in measured)
    _, scan = line(list(scans.items()))
    return {
        "fixed_seconds": round(a, 2), "seconds_per_million_impressions": round(b * 1e6, 2),
        "seconds_per_million_items": round(c * 1e6, 2), "processor_seconds_per_million_items": round(processor * 1e6, 2),
        "item_scan_seconds_per_million": round(scan * 1e6, 3), "item_cost_in_scans": round(c / scan, 2),
        "largest_residual": round(missed, 3),
    }


def driver_figures(drivers: dict[int, DriverMemory]) -> dict[str, Any]:
    """The driver's memory at the largest catalogue, and by how much it is above that of the smallest."""
    if not drivers:
        return {"driver_mib": None, "driver_growth": None, "drivers": {}}
    few, many = (drivers[pick(drivers)] for pick in (min, max))
    return {
        "driver_mib": many.mib, "driver_growth": round(many.mib / few.mib - 1, 3),
        "drivers": {str(items): asdict(d) for items, d in drivers.items()},
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def table(measured: list[Measured]) -> str:
    """The sizes as Markdown."""
    lines = ["| impressions | items | requests | tuples | seconds | processor seconds | single node seconds | ratio |",
             "|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for m in measured:
        lines.append(f"| {m.impressions:,} | {m.items:,} | {m.requests:,} | {m.tuples:,} | {m.seconds:.1f} | "
                     f"{m.cpu_seconds:.1f} | {m.reference_seconds:.1f} | {m.ratio or '-'} |")
    return "\n".join(lines)
