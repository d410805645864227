"""`mmse ablate` on a small market, end to end: broken off, it trains only what is missing."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import yaml

from jobs.ablation.runs import INPUTS, run_key, task_of
from jobs.cli import main
from jobs.ingest.privacy import ensure_user_key
from jobs.runtime.config import Config
from jobs.runtime.job import Job, JobContext
from jobs.runtime.snapshots import EMPTY
from tests.cluster.chain import DAY, overrides
from tests.mmse_model.kill_data import task_in

ROOT = Path(__file__).parents[3]
ABLATION = {
    "base": str(ROOT / "conf/demo.yaml"), "against": "full", "chooses_k": "clicks", "seeds": {"headline": 2, "others": 1},
    "ks": [10, 100], "resamples": 100,
    "arms": {
        "full": {"headline": True},
        "clicks": {"change": {"train": {"objective": {"without": ["ordered"], "rank_weight": 0}}}},
    },
}


@pytest.mark.slow
def test_arms_are_trained_once_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensure_user_key(tmp_path / "key")
    sets = [word for one in overrides(tmp_path, "warehouse") for word in ("--set", one)]
    base = ["--date", DAY, *sets]
    assert main(["run", "--config", ABLATION["base"], *base, "--from", "simulate_market", "--to", "build_tuples"]) == 0
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(ABLATION, sort_keys=False))
    capsys.readouterr()
    assert main(["ablate", "--config", str(config), *base]) == 0
    first = capsys.readouterr().out
    assert [line.split()[0] for line in first.splitlines() if " seed " in line] == ["full", "clicks", "full"]
    folder = tmp_path / "warehouse-reports" / "ablation" / "small"
    report = json.loads((folder / "ablation.json").read_text())
    assert [(arm["arm"], arm["seeds"]) for arm in report["arms"]] == [("full", 2), ("clicks", 1)]
    assert all(0 < arm["ordered"][1]["mean"] <= 1 for arm in report["arms"])
    assert "clicks" in (folder / "ablation.svg").read_text() and "| clicks | 1 |" in (folder / "ablation.md").read_text()
    assert not list((folder / "runs" / "checkpoints").glob("*"))

    kept = sorted((folder / "runs").glob("*.npz"))
    kept[0].unlink()
    assert main(["ablate", "--config", str(config), *base]) == 0
    again = capsys.readouterr().out
    assert len([line for line in again.splitlines() if " seed " in line]) == 1
    figures = ("ordered", "clicked", "difference")
    report_again = json.loads((folder / "ablation.json").read_text())
    assert [[arm[f] for f in figures] for arm in report_again["arms"]] == [[arm[f] for f in figures] for arm in report["arms"]]


def test_a_run_of_another_base_is_another_result_though_the_arm_is_the_same() -> None:
    """Seed 8 is the second run of a base with seed 7 and the first of one with seed 8, over queries in another order."""
    keys = {run_key(context_of(Config(seed=seed)), Config(seed=8).hash(), (10,)) for seed in (7, 8)}
    assert len(keys) == 2
    assert run_key(context_of(Config(seed=7)), "a", (10,)) == run_key(context_of(Config(seed=7)), "a", (10,))


def test_every_run_has_checkpoints_and_event_files_of_its_own_where_the_base_writes_any(tmp_path: Path) -> None:
    silent = task_in(tmp_path / "base", tmp_path / "files")
    base = silent.model_copy(update={"events": tmp_path / "events" / "base"})
    runs = [task_of(base, Config(seed=seed), tmp_path / "runs", f"key-{seed}") for seed in (7, 8)]
    assert [run.events for run in runs] == [tmp_path / "events" / "key-7", tmp_path / "events" / "key-8"]
    assert [run.folder.name for run in runs] == ["key-7", "key-8"] and [run.seed for run in runs] == [7, 8]
    assert task_of(silent, Config(), tmp_path / "runs", "key").events is None


def context_of(config: Config) -> JobContext:
    """A context over a warehouse in which nothing is published."""
    job = Job("ablate", (*INPUTS, "judgments"), (), lambda context: None)
    return JobContext(job, config, date(2026, 1, 8), EMPTY, "run", lambda: None)
