"""`mmse status`: what is published, when, by which run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.report.published import Published
from jobs.runtime.config import Config

HEADER = ("dataset", "days", "newest", "rows", "written (UTC)", "job", "run")
RIGHT = ("days", "rows")


def status_lines(config: Config) -> list[str]:
    """The newest entry, the release in force, and one line per published dataset."""
    published = Published(config)
    entry = published.entry
    if entry.number == 0:
        return [f"nothing is published in {config.paths.warehouse}; try: mmse demo"]
    lines = [
        f"{config.paths.warehouse}: entry {entry.number}, committed {entry.committed_at} "
        f"by {entry.job} (run {entry.run_id})",
        release_line(published),
        "",
    ]
    return lines + list(aligned([HEADER, *dataset_rows(published)]))


def release_line(published: Published) -> str:
    """Which release searches are answered from."""
    days = published.entry.days("release")
    manifest = published.manifest("release", days[-1]) if days else None
    if manifest is None:
        return "no release in force"
    return f"release in force: {manifest.dt}, run {manifest.run_id}, written {_minute(manifest.created_at)}"


def dataset_rows(published: Published) -> Iterator[tuple[str, ...]]:
    """One row of HEADER per dataset, about its newest day."""
    for name in sorted({dataset for dataset, _ in published.entry.snapshots}):
        days = published.entry.days(name)
        manifest = published.manifest(name, days[-1])
        if manifest is not None:
            yield (
                name, str(len(days)), manifest.dt, f"{manifest.rows:,}", _minute(manifest.created_at), manifest.job,
                manifest.run_id,
            )


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as columns of text; the first row names the columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.rjust(width) if name in RIGHT else cell.ljust(width) for cell, width, name in zip(row, widths, rows[0])
        ]
        yield "  ".join(cells).rstrip()


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
