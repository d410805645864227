"""A small shop whose nights a real Airflow runs: `airflow dags test`, SparkSubmitOperator, the real spark-submit."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from jobs.ingest.privacy import ensure_user_key
from jobs.pipeline import run_span
from jobs.runtime.config import Config, load_config
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
PATIENCE = 40 * 60
"""Seconds that one night may take on a slow machine."""
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For the JVM of a job that lives for seconds: its optimising compiler would take longer than it saves."""

SMALL_SHOP: dict[str, Any] = {
    "market": {"items": 2000, "requests": 7500, "days": 12},
    "spark": {"driver_memory": "1g", "shuffle_partitions": 2},
    "ingest": {"catch_up_days": 7},
    "item_stream": {"entries": 5000},
    "train": {"epochs": 1, "event_files": False},
    "index": {"lists": 16},
    "evaluate": {"bootstrap": 100, "max_queries": 500, "tuning_queries": 100, "look": 0},
}
"""Enough for every check to have something to say, and little enough for five nights within minutes."""


@dataclass(frozen=True)
class Shop:
    """The folder of a shop, and the configuration that its nights run with."""

    folder: Path
    settings: Mapping[str, Any]

    @property
    def config(self) -> Config:
        """The configuration as the jobs read it."""
        return load_config(self.config_file())

    def config_file(self) -> Path:
        """Writes the settings as the YAML file that MMSE_CONFIG names."""
        path = self.folder / "shop.yaml"
        path.write_text(yaml.safe_dump(dict(self.settings)), encoding="utf-8")
        return path

    def with_settings(self, **sections: Any) -> Shop:
        """The same shop with some keys of its sections changed."""
        return replace(self, settings={
            **self.settings, **{name: {**self.settings.get(name, {}), **keys} for name, keys in sections.items()},
        })

    def night(self, day: str) -> dict[str, str]:
        """Runs the DAG for `day` in Airflow's own environment; task -> the state in which it ended."""
        command = [str(AIRFLOW), "dags", "test", "mmse_daily", run_time(day), "--conf", json.dumps({"dt": day})]
        with open(self.folder / f"night-{day}.log", "ab") as log:
            subprocess.run(command, cwd=self.folder, env=self._environment(), stdout=log, stderr=log, timeout=PATIENCE)
        return self._states()

    def _states(self) -> dict[str, str]:
        """Task -> state of the newest run, from Airflow's own database."""
        newest = "(select run_id from dag_run order by id desc limit 1)"
        with closing(sqlite3.connect(self.folder / "airflow" / "airflow.db")) as database:
            return dict(database.execute(f"select task_id, state from task_instance where run_id = {newest}"))

    def run_again(self, day: str) -> None:
        """`mmse run` of a day that a night has run before: the same jobs, in one process.

        Exit code 1 is tried once more, as Airflow does, and what was said last becomes a warning of the test.
        """
        command = [sys.executable, "-m", "jobs.cli", "run", "--config", str(self.config_file()), "--date", day]
        path = self.folder / f"again-{day}.log"
        for attempt in (1, 2):
            with open(path, "ab") as log:
                code = subprocess.run(command, cwd=ROOT, env=self._environment(), stdout=log, stderr=log, timeout=PATIENCE).returncode
            if code == 0:
                return
            said = f"attempt {attempt} for {day}: exit code {code}: {path.read_text(encoding='utf-8', errors='replace')[-6_000:]}"
            assert code == 1 and attempt == 1, said
            warnings.warn(said, stacklevel=1)

    def migrate(self) -> None:
        """Makes Airflow's database."""
        subprocess.run([str(AIRFLOW), "db", "migrate"], env=self._environment(), check=True, capture_output=True, timeout=PATIENCE)

    def _environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "SPARK_LOCAL_IP": "127.0.0.1",
            "JAVA_TOOL_OPTIONS": SHORT_LIVED, "AIRFLOW_HOME": str(self.folder / "airflow"), "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
            "MMSE_HOME": str(ROOT), "MMSE_CONFIG": str(self.config_file()), "MMSE_PYTHON": sys.executable,
        }

    def published(self, day: str) -> dict[tuple[str, str], str]:
        """(dataset, dt) -> content hash of everything that is published up to a day, but for the truth behind the feed."""
        warehouse, head = Path(self.config.paths.warehouse), SnapshotLog(self.config.paths.warehouse).head()
        named = {key: run for key, run in head.snapshots.items() if key[1] <= day and not key[0].startswith("truth_")}
        return {key: Manifest.read(run_folder(warehouse, *key, run)).content_hash for key, run in named.items()}

    def release_in_force(self) -> tuple[str, str]:
        """Day and run of what is served."""
        head = SnapshotLog(self.config.paths.warehouse).head()
        day = head.days("release")[-1]
        return day, str(head.run("release", day))

    def hits(self, query: str) -> int:
        """How many items `mmse search` finds."""
        command = [sys.executable, "-m", "jobs.cli", "search", query, "-k", "5", "--json", "--config", str(self.config_file())]
        found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=PATIENCE)
        return len(json.loads(found.stdout)["hits"])


def run_time(day: str) -> str:
    """When the nightly run of a day begins."""
    return f"{(date.fromisoformat(day) + timedelta(days=1)).isoformat()}T03:00:00+00:00"


def new_shop(folder: Path, last_day: str) -> Shop:
    """A shop whose feed up to `last_day` has been simulated, and an Airflow that has run nothing yet."""
    paths = {"raw": str(folder / "raw"), "warehouse": str(folder / "warehouse"), "reports": str(folder / "reports")}
    key = folder / "key"
    ensure_user_key(key)
    shop = Shop(folder, {**SMALL_SHOP, "paths": paths}).with_settings(ingest={"user_key_file": str(key)})
    shop.migrate()
    run_span(("simulate_market",), shop.config, date.fromisoformat(last_day))
    return shop
