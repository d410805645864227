from __future__ import annotations

import pytest

from mmse_model.config import StageSettings, check_stages
from tests.mmse_model.toy import STAGES


def test_stages_that_can_be_trained_on_pass() -> None:
    assert check_stages(STAGES) == STAGES


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ((*STAGES, STAGES[1]), "names must differ"),
        (STAGES[1:], "the first, and only the first, must have source 'stream'"),
        (STAGES[:2], "at least one must be positive"),
        ((STAGES[0].model_copy(update={"margin": 0.5}), *STAGES[1:]), "expected a name and per_tuple only"),
        ((STAGES[0].model_copy(update={"positive": True}), *STAGES[1:]), "expected a name and per_tuple only"),
    ],
)
def test_other_stages_are_refused_in_one_sentence(stages: tuple[StageSettings, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_stages(stages)
