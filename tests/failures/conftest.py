"""The shop that every injury gets a copy of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.failures.shop import Shop, copied


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A copy of the small shop with a release; the first test of a version of the code waits for its making."""
    return copied(tmp_path / "shop")
