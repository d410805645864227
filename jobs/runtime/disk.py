"""A full disk said in one sentence: which volumes the job writes to, and how much is left on each."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from jobs.runtime.config import Config
from jobs.runtime.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)
SAID = ("No space left on device", "Disk quota exceeded")


def disk_full(error: BaseException, config: Config) -> DiskFull | None:
    """The error as DiskFull where a full volume is behind it, whether Python or Spark met it; None otherwise."""
    number = error.errno if isinstance(error, OSError) else None
    said = str(error)  # of Spark a whole stack trace, in which the cause stands
    if number not in FULL and not any(words in said for words in SAID):
        return None
    left = ", ".join(f"{name} = {place}: {free_bytes(place):,} bytes" for name, place in places(config).items())
    return DiskFull(f"no space left on a volume; left are: {left}; make room and run again: nothing was published")


def places(config: Config) -> Mapping[str, Path]:
    """Where a job writes: setting -> folder."""
    scratch = config.spark.conf.get("spark.local.dir", tempfile.gettempdir()).split(",")[0]
    own = {"paths.warehouse": Path(config.paths.warehouse), "paths.reports": Path(config.paths.reports)}
    return {**own, "spark.local.dir": Path(scratch)}


def free_bytes(place: Path) -> int:
    """Bytes that may still be written to the volume of a folder, or of the nearest one above it that is there."""
    there = next(p for p in (place.absolute(), *place.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free
