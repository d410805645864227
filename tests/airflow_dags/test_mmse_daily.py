"""The nightly DAG, read by the Airflow of its own environment (make airflow-env)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from jobs.pipeline import FIRST_OF_A_SHOP, JOB_NAMES, span

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
PROBE = """
import json, sys, time
begun = time.monotonic()
sys.path.insert(0, "airflow_dags")
import mmse_daily
seconds = time.monotonic() - begun
dag = mmse_daily.dag
print(json.dumps({
    "seconds": seconds,
    "order": [t.task_id for t in dag.topological_sort()],
    "arguments": {t.task_id: t.application_args for t in dag.tasks},
    "applications": {t.task_id: t.application for t in dag.tasks},
    "heavy": [m for m in ("pyspark.sql", "torch", "great_expectations", "jobs", "schemas") if m in sys.modules],
    "retry": [bool(mmse_daily.NOT_WORTH_A_RETRY.search(f"Error code is: {c}.")) for c in (1, 2, 3, 4, 30)],
    "timetable": type(dag.timetable).__name__, "active": dag.max_active_runs, "catchup": dag.catchup,
}))
"""


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> dict:
    if not PYTHON.exists():
        pytest.skip("Airflow's environment is not here: make airflow-env")
    home = tmp_path_factory.mktemp("airflow")
    env = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
    done = subprocess.run([str(PYTHON), "-W", "ignore", "-c", PROBE], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_tasks_are_the_jobs_of_a_shop_in_the_order_of_the_pipeline(dag: dict) -> None:
    assert dag["order"] == list(span(FIRST_OF_A_SHOP, JOB_NAMES[-1]))


def test_every_task_submits_its_job_for_the_day_that_has_just_ended(dag: dict) -> None:
    assert set(dag["arguments"]) == set(JOB_NAMES) - {"simulate_market"}
    for name, arguments in dag["arguments"].items():
        assert dag["applications"][name].endswith(f"jobs/{name}.py")
        assert (ROOT / "jobs" / f"{name}.py").is_file()
        assert arguments[2:] == ["--date", "{{ params.dt or (data_interval_start | ds) }}"]


def test_reading_the_dag_imports_no_engine(dag: dict) -> None:
    assert dag["heavy"] == []
    assert dag["seconds"] < 10


def test_only_exit_code_one_is_worth_a_retry(dag: dict) -> None:
    assert dag["retry"] == [False, True, True, True, False]


def test_one_run_at_a_time_with_an_explicit_data_interval(dag: dict) -> None:
    assert (dag["timetable"], dag["active"], dag["catchup"]) == ("CronDataIntervalTimetable", 1, False)
