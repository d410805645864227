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


@pytest.mark.parametrize("memory", ["300m", "449M", "460799k", "0g"])
def test_a_driver_below_the_450_mib_that_spark_needs_is_refused(tmp_path: Path, memory: str) -> None:
    with pytest.raises(ConfigError, match=rf"spark\.driver_memory = '{memory}'; .*expected at least 450m") as refused:
        load_config(write(tmp_path, f"spark: {{driver_memory: {memory}}}"))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("memory", ["450m", "460800k", "1G", "1t"])  # 450 * 1024 = 460,800
def test_a_driver_of_450_mib_or_more_is_accepted_in_every_unit(tmp_path: Path, memory: str) -> None:
    assert load_config(write(tmp_path, f"spark: {{driver_memory: {memory}}}")).spark.driver_memory == memory


@pytest.mark.parametrize("memory", ["'4096'", "512mb", "1.5g", "-1g", "lots", "''"])
def test_a_size_that_the_jvm_does_not_read_as_meant_is_refused(tmp_path: Path, memory: str) -> None:
    with pytest.raises(ConfigError, match=r"spark\.driver_memory = .*expected a whole number and k, m, g or t"):
        load_config(write(tmp_path, f"spark: {{driver_memory: {memory}}}"))


@pytest.mark.parametrize("name", ["spark.driver.memory", "spark.executor.memory"])
def test_memory_among_the_further_properties_has_the_same_least_and_no_other_property_is_shown(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"spark\.conf: {name} = '300m'; expected at least 450m") as refused:
        load_config(write(tmp_path, f"spark: {{conf: {{{name}: 300m, spark.my.password: hush}}}}"))
    assert "hush" not in str(refused.value)
    assert load_config(write(tmp_path, f"spark: {{conf: {{{name}: 450m}}}}")).spark.conf == {name: "450m"}
