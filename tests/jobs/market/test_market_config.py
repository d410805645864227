"""The market's settings: what is refused, what follows from the size, and the frozen defaults."""

from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import ValidationError

from jobs.market.config import FaultSettings, MarketSettings

FROZEN = "5aa5f2cc07486656e901412f895164f93c4f468e02776a23f0377d34c390b2c2"


def test_the_defaults_are_frozen() -> None:
    """Every published figure rests on them: whoever changes one re-runs those figures and then this digest."""
    assert MarketSettings().catalogue is None
    text = json.dumps(MarketSettings().model_dump(mode="json", exclude={"catalogue"}), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == FROZEN


def test_sizes_follow_the_catalogue_unless_they_are_told() -> None:
    demo = MarketSettings()
    assert (demo.type_count, demo.brand_count, demo.shop_count, demo.intent_count) == (500, 400, 40, 4_000)
    assert MarketSettings(items=100).type_count == 6
    assert MarketSettings(items=100, types=12, shops=5).model_dump()["types"] == 12


def test_a_record_cannot_have_more_faults_than_one() -> None:
    with pytest.raises(ValidationError, match="add up to 1.2"):
        FaultSettings(late=0.4, too_late=0.4, bad_row=0.4, **no_other_faults("late", "too_late", "bad_row"))


def no_other_faults(*kept: str) -> dict[str, float]:
    return {name: 0.0 for name in FaultSettings.model_fields if name not in kept}
