"""Arms of an ablation: what they may change, and what comes out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.ablation.settings import config_of, merged, read_ablation
from jobs.runtime.config import Config, load_config
from jobs.runtime.errors import ConfigError

ROOT = Path(__file__).parents[3]
PLAIN = "base: conf/demo.yaml\nagainst: full\nchooses_k: full\narms:\n  full: {}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ablation.yaml"
    path.write_text(text)
    return path


def test_mappings_merge_and_lists_are_replaced() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 3}, {"a": {"c": [4]}, "e": 5}) == {"a": {"b": 1, "c": [4]}, "d": 3, "e": 5}


def test_every_arm_of_the_shipped_ablation_is_a_valid_configuration_of_its_own() -> None:
    ablation = read_ablation(ROOT / "conf/ablation.yaml")
    base = load_config(ROOT / "conf/demo.yaml")
    configs = {arm: config_of(ablation, base, arm, 7) for arm in ablation.arms}
    assert len({config.hash() for config in configs.values()}) == len(configs)
    assert {config.train.epochs for config in configs.values()} == {base.train.epochs}
    assert configs["pre-fusion"].model.fusion == "pre"
    assert [s.name for s in configs["order-only"].stages if s.positive] == ["ordered"]
    assert ablation.seeds_of("full") == 5 and ablation.seeds_of("unigrams") == 2


@pytest.mark.parametrize(("text", "message"), [
    (PLAIN + "  other: {change: {tuples: {test_days: 2}}}\n", "expected sections of model, train, stages"),
    (PLAIN.replace("against: full", "against: nothing"), "against = 'nothing': no such arm"),
    (PLAIN + "  other: {chang: {}}\n", "unknown key 'arms.other.chang'.*expected one of .*'change'"),
    (PLAIN + "ks: [50, 10]\n", "ascending"),
])
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_ablation(written(tmp_path, text))


def test_an_arm_cannot_ask_for_other_slots_than_the_tuples_have(tmp_path: Path) -> None:
    text = PLAIN + (
        "  wide:\n    change:\n      stages:\n        - {name: random, source: stream, per_tuple: 4}\n"
        "        - {name: clicked, evidence: clicked, per_tuple: 8, positive: true}\n"
    )
    ablation = read_ablation(written(tmp_path, text))
    with pytest.raises(ConfigError, match="arm wide: stages = .*expected the slots of the tuples"):
        config_of(ablation, Config(), "wide", 7)


def test_an_invalid_arm_is_named(tmp_path: Path) -> None:
    ablation = read_ablation(written(tmp_path, PLAIN + "  bad: {change: {train: {objective: {without: [carted]}}}}\n"))
    with pytest.raises(ConfigError, match="arm bad.*carted"):
        config_of(ablation, Config(), "bad", 7)
