"""The configuration: what is refused, and how the refusal reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.runtime.config import Config, load_config
from jobs.runtime.errors import ConfigError


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return str(path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == Config()


def test_a_typo_in_a_key_names_file_key_value_and_what_was_expected(tmp_path: Path) -> None:
    path = write(tmp_path, "index: {lits: 64}")
    with pytest.raises(ConfigError, match=r"c\.yaml: unknown key 'index\.lits' \(value 64\); expected one of .*'lists'"):
        load_config(path)


def test_a_typo_inside_a_list_of_stages_names_the_stage_keys(tmp_path: Path) -> None:
    path = write(tmp_path, "stages: [{name: random, source: stream, marjin: 1}]")
    with pytest.raises(ConfigError, match=r"unknown key 'stages\.0\.marjin' .*'margin'"):
        load_config(path)


def test_a_value_out_of_range_names_key_and_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"index\.lists = 0; Input should be greater than or equal to 1"):
        load_config(write(tmp_path, "index: {lists: 0}"))


def test_set_overrides_the_file_and_is_read_as_yaml(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "index: {lists: 64}"), ["index.lists=128", "evaluate.ks=[1, 2]"])
    assert config.index.lists == 128
    assert config.evaluate.ks == (1, 2)


@pytest.mark.parametrize("override", ["index.lists", "=3", "seed.x=1"])
def test_a_malformed_set_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(write(tmp_path, "seed: 3"), [override])


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "!!python/object/apply:os.system ['true']"])
def test_what_is_not_a_mapping_of_sections_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_config(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        load_config(tmp_path / "absent.yaml")


def test_the_hash_depends_on_what_is_computed_and_not_on_where(tmp_path: Path) -> None:
    here = load_config(write(tmp_path, ""), ["paths.warehouse=a", "spark.master=local[1]"])
    there = load_config(write(tmp_path, ""), ["paths.warehouse=b"])
    other = load_config(write(tmp_path, ""), ["seed=8"])
    assert here.hash() == there.hash() != other.hash()


def test_the_first_stage_must_be_the_stream(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the first, and only the first, must have source 'stream'"):
        load_config(write(tmp_path, "stages: [{name: clicked, evidence: clicked, per_tuple: 2, positive: true}]"))
