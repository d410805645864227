"""The chain, run once for all tests of this folder."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import JOB_NAMES, run_span
from jobs.runtime.config import load_config
from tests.cluster.chain import DAY, overrides


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small market's feed, and a warehouse that the eleven jobs filled in one local process."""
    folder = tmp_path_factory.mktemp("market")
    ensure_user_key(folder / "key")
    run_span(JOB_NAMES, load_config("conf/demo.yaml", overrides(folder, "local")), date.fromisoformat(DAY))
    return folder
