"""Hostile configurations and arguments: nothing is executed, nothing unfolds, and the refusal stays one short sentence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.ingest.privacy import ensure_user_key, load_user_key
from jobs.runtime.config import load_config, read_yaml
from jobs.runtime.errors import ConfigError
from jobs.runtime.safe_yaml import MOST_VALUES, RefusedYaml, load_plain

TAGS = (
    "!!python/object/apply:os.system ['touch FILE']", "!!python/object/new:os.system ['touch FILE']",
    "!!python/name:os.system", "!!python/module:os", "!env HOME",
)


def laughs(levels: int) -> str:
    """Ten aliases of the level below on each level: 10**levels texts."""
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_refused_in_the_file_and_on_the_command_line_and_runs_nothing(tmp_path: Path, tag: str) -> None:
    value, path = tag.replace("FILE", str(tmp_path / "touched")), tmp_path / "shop.yaml"
    path.write_text(f"seed: {value}\n")
    with pytest.raises(ConfigError, match=r"shop\.yaml: not valid YAML \(could not determine a constructor"):
        load_config(path)
    path.write_text("seed: 7\n")
    with pytest.raises(ConfigError, match="--set .*the value is not valid YAML .could not determine a constructor"):
        load_config(path, [f"seed={value}"])
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(("text", "why"), [
    (laughs(9), f"unfolds to more than {MOST_VALUES:,} values"), ("a: &a [*a]", "nested too deeply"),
    ("[" * 20_000, "nested too deeply"), ("a: " + "x" * (1 << 20), "characters; expected at most 1,048,576"),
], ids=["laughs", "holds itself", "brackets", "long"])
def test_yaml_that_unfolds_beyond_measure_is_refused_within_seconds(tmp_path: Path, text: str, why: str) -> None:
    path, begun = tmp_path / "shop.yaml", time.monotonic()
    path.write_text(text)
    with pytest.raises(ConfigError, match=why) as refused:
        load_config(path)
    assert len(str(refused.value)) < 600
    assert time.monotonic() - begun < 20


def test_aliases_of_a_bearable_size_are_good_yaml() -> None:
    assert load_plain("a: &a {b: 1}\nc: *a") == {"a": {"b": 1}, "c": {"b": 1}}
    assert sum(len(level) for level in load_plain(laughs(4)).values()) == 40
    with pytest.raises(RefusedYaml):
        load_plain(laughs(5))


@pytest.mark.parametrize("setting", ["seed='" + "x" * 10_000 + "'", "x" * 10 + "='" + "y" * 10_000 + "'"])
def test_a_long_value_is_shown_short(tmp_path: Path, setting: str) -> None:
    (tmp_path / "shop.yaml").write_text("{}")
    with pytest.raises(ConfigError, match=r"\.\.\. \(10,002 characters\)") as refused:
        load_config(tmp_path / "shop.yaml", [setting])
    assert len(str(refused.value)) < 1_500


@pytest.mark.parametrize(("setting", "why"), [
    ("ingest.files=['../../etc/pass*']", "expected the name of a file in its folder"),
    ("ingest.time_zone=../../etc/passwd", "expected a zone of the IANA database"),
    ("ingest.adapter=../os", "Input should be 'ubi'"), ("paths.warehouse=s3://elsewhere/x", "expected a path on a local or shared disk"),
])
def test_a_setting_that_reads_like_a_path_is_refused_where_a_name_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, why: str
) -> None:
    (tmp_path / "shop.yaml").write_text(f"paths: {{warehouse: {tmp_path}/wh}}\n")
    assert main(["status", "--config", str(tmp_path / "shop.yaml"), "--set", setting]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("day", ["../../etc", "2026-01-08/../../x", "{{ 7 * 7 }}", "2026-01-08; touch x", "$(touch x)", "--set", "", "2026-01-08\n"])
def test_a_date_is_a_date_and_nothing_else(tmp_path: Path, day: str) -> None:
    (tmp_path / "shop.yaml").write_text("{}")
    try:
        code: object = main(["ingest_logs", "--config", str(tmp_path / "shop.yaml"), "--date", day, "--log-file", "/dev/null"])
    except SystemExit as stop:  # argparse: an option in place of the value
        code = stop.code
    assert code == 2


def test_a_key_in_the_warehouse_is_refused_however_the_way_there_is_written(tmp_path: Path) -> None:
    warehouse = tmp_path / "wh"
    ensure_user_key(warehouse / "key")
    (tmp_path / "link").symlink_to(warehouse)
    for way in ("wh/key", "wh/../wh/key", "link/key"):
        with pytest.raises(ConfigError, match="lies in the warehouse"):
            load_user_key(tmp_path / way, warehouse)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_bytes(b"\xff\xfe\x00seed")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "shop.yaml")
