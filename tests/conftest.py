"""One Spark session for the whole test run: real Spark, two cores, two shuffle partitions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from jobs.runtime.config import Config
from jobs.runtime.logs import LOGGER
from jobs.runtime.session import start_session
from jobs.runtime.spark_section import SparkSettings

# Examples share two cores with Spark: how long one takes says nothing about the code.
settings.register_profile("mmse", deadline=None)
settings.load_profile("mmse")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """A real SparkSession, made as every job makes its own."""
    settings = SparkSettings(master="local[2]", driver_memory="2g", shuffle_partitions=2)
    session = start_session(Config(spark=settings), "tests")
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def fresh_logger() -> None:
    """mmse's logger as it is on import: a command that an earlier test ran in this process has set it up for itself."""
    LOGGER.handlers.clear()
    LOGGER.setLevel(logging.NOTSET)
    LOGGER.propagate = True


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the small public samples; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the public sample data is not here (../shared/data)")
    return SHARED_DATA
