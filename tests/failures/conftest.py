"""The shops that every injury gets a copy of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.failures.shop import Shop, calm_one, copied


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A copy of the small shop with a release; the first test of a version of the code waits for its making."""
    return copied(tmp_path / "shop")


@pytest.fixture(scope="session")
def calm() -> Shop:
    """A smaller shop up to its labels; to be copied, not to be worked in."""
    return Shop(calm_one())


@pytest.fixture
def labelled(calm: Shop, tmp_path: Path) -> Shop:
    """A shop whose days are ingested and labelled."""
    shutil.copytree(calm.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")
