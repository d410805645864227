"""Speed of the training loader: python -m benchmarks.loader [--rows 300000]

Writes synthetic tuples and item stream in the layout of the real datasets and reads all of them in three ways, each time
in a process of its own: with TupleLoader, into torch batches of 512 tuples and 1,024 stream entries; with a bare scan in one
thread (`ParquetFile.read_row_group` of the same columns and `np.frombuffer` over the memory of each packed column,
nothing else); with Petastorm's BatchedDataLoader, a shuffling queue of 50,000, over the same rows as list columns. No model
stands behind any of them. The ways take turns; medians count. Prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.reading import BARE, BATCHED, ONE_CORE, WAYS, Measured, Way
from benchmarks.training_files import row_bytes, write
from mmse_model.config import TrainSettings


def measure_apart(way: Way, folder: Path, rows: int) -> Measured:
    """The same in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.reading", json.dumps(asdict(way)), str(rows), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def medians(runs: Sequence[Measured]) -> Measured:
    """The median of each figure of a way's runs; of memory, the largest."""
    speeds = {n: statistics.median(getattr(r, n) for r in runs)
              for n in ("rows_per_second", "first_rows_per_second", "cpu_s_per_million")}
    return Measured(**speeds, peak_mib=max(r.peak_mib for r in runs), checksum=runs[0].checksum)


def table(found: dict[Way, Measured]) -> str:
    """The ways as Markdown."""
    lines = ["| way | tuples/s | of the bare scan | first pass, tuples/s | processor s per million | peak MiB |",
             "|---|---:|---:|---:|---:|---:|"]
    for way, m in found.items():
        bare = found[ONE_CORE[0] if way.cores else BARE].rows_per_second
        lines.append(f"| {way} | {m.rows_per_second:,.0f} | {m.rows_per_second / bare:.2f} | {m.first_rows_per_second:,.0f} | "
                     f"{m.cpu_s_per_million:.1f} | {m.peak_mib:,.0f} |")
    return "\n".join(lines)


def report(found: dict[Way, Measured], rows: int, file_bytes: int) -> dict[str, Any]:
    """The figures of the last line: those of the number of workers that is the default."""
    ours = found[Way("loader", TrainSettings().loader_workers)]
    return {
        "rows_per_second": ours.rows_per_second,
        "ratio_to_bare_scan": round(ours.rows_per_second / found[BARE].rows_per_second, 3),
        "ratio_to_batched_loader": round(ours.rows_per_second / found[BATCHED].rows_per_second, 2),
        "cpu_s_per_million": ours.cpu_s_per_million, "peak_mib": ours.peak_mib, "row_bytes": row_bytes(),
        "ratio_to_bare_scan_on_one_core": round(found[ONE_CORE[1]].rows_per_second / found[ONE_CORE[0]].rows_per_second, 3),
        "workers": TrainSettings().loader_workers, "rows": rows, "file_bytes_per_row": round(file_bytes / rows),
        **machine(), "ways": {str(way): asdict(m) for way, m in found.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description="Speed of the training loader.")
    parser.add_argument("--rows", type=int, default=300_000, help="tuples; there are twice as many stream entries")
    parser.add_argument("--repeats", type=int, default=3, help="processes for each way")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-loader-", dir=chosen.folder) as name:
        files = write(Path(name), chosen.rows)
        rounds = [{way: measure_apart(way, Path(name), chosen.rows) for way in WAYS} for _ in range(chosen.repeats)]
        found = {way: medians([measured[way] for measured in rounds]) for way in WAYS}
        if len({m.checksum for m in found.values()}) != 1:
            sys.exit(f"the ways have not read the same rows: {found}")
        print(table(found))
        print(json.dumps(report(found, chosen.rows, sum(p.stat().st_size for p in [*files.tuples, *files.stream]))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
