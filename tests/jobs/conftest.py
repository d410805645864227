"""What tests of several jobs read: made once, as making it takes Spark ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.runtime.job import JobContext
from tests.jobs.released import released_in


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file in `folder`."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def released(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobContext]:
    """The run that released a small warehouse. Who would change the warehouse takes a copy (`tests.jobs.released.copied`)."""
    context = released_in(spark, tmp_path_factory.mktemp("released"))
    before = state_of(context.warehouse)
    yield context
    assert state_of(context.warehouse) == before, "a test changed the released warehouse that all tests read"
