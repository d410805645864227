"""The nightly DAG, read by the Airflow of its own environment (make airflow-env)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from jobs.pipeline import FIRST_OF_A_SHOP, JOB_NAMES, span
from jobs.runtime.job import Job
from jobs.runtime.main import job_parser

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
PROBE = """
import json, sys, time
from datetime import datetime, timezone
from types import SimpleNamespace
import airflow.sdk
begun = time.process_time()
sys.path.insert(0, "airflow_dags")
import mmse_daily
seconds = time.process_time() - begun
dag = mmse_daily.dag
jobs = [t for t in dag.topological_sort() if isinstance(t, mmse_daily.MmseJob)]
run = {
    "params": {"dt": None}, "data_interval_start": datetime(2026, 1, 8, 3, tzinfo=timezone.utc), "run_id": "scheduled__1",
    "ti": SimpleNamespace(xcom_pull=lambda task_ids: {"entry": 12}),
}
def submitted(task):
    arguments = task.render_template(task.application_args, run, jinja_env=dag.get_template_env())
    hook = task._get_hook()
    hook._application_args = arguments
    return hook._build_spark_submit_command(task.application)
print(json.dumps({
    "seconds": seconds,
    "after": {t.task_id: sorted(t.upstream_task_ids) for t in dag.tasks},
    "rules": {t.task_id: t.trigger_rule for t in dag.tasks if t.trigger_rule != "all_success"},
    "argv": {t.task_id: submitted(t) for t in jobs},
    "by_hand": jobs[0].render_template(jobs[0].application_args, {**run, "params": {"dt": "2025-12-24"}}, jinja_env=dag.get_template_env()),
    "heavy": [m for m in ("pyspark.sql", "torch", "great_expectations", "jobs", "schemas") if m in sys.modules],
    "retry": [bool(mmse_daily.NOT_WORTH_A_RETRY.search(f"Error code is: {c}.")) for c in (1, 2, 3, 4, 30)],
    "undocumented": [t.task_id for t in dag.tasks if not t.doc_md and t.task_id != "released"],
    "outlets": {t.task_id: [o.uri for o in t.outlets] for t in dag.tasks if t.outlets},
    "retries": {t.task_id: t.retries for t in dag.tasks if t.task_id.startswith("gate")},
    "alerts": [t.task_id for t in dag.tasks if t.on_failure_callback],
    "timetable": type(dag.timetable).__name__, "active": dag.max_active_runs, "catchup": dag.catchup,
}))
"""
SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false", "MMSE_HOME": "/srv/mmse", "MMSE_CONFIG": "/etc/mmse/shop.yaml",
    "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "spark://cluster", "port": 7077}',
}


def probe(home: Path, **more: str) -> dict:
    if not PYTHON.exists():
        pytest.skip("Airflow's environment is not here: make airflow-env")
    env = {**os.environ, "AIRFLOW_HOME": str(home), **SETTINGS, **more}
    done = subprocess.run([str(PYTHON), "-W", "ignore", "-c", PROBE], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return probe(tmp_path_factory.mktemp("airflow"))


def test_the_night_waits_for_its_log_and_passes_a_gate_after_every_step(dag: dict) -> None:
    after = dag["after"]
    assert after["wait_for_log"] == []
    assert after["ingest_logs"] == ["wait_for_log"]
    assert after["gate_ingest"] == ["ingest_items"] and after["label_impressions"] == ["gate_ingest"]
    assert after["gate_labels"] == ["label_impressions"] and after["build_vocabulary"] == ["gate_labels"]
    assert after["gate_tuples"] == ["build_tuples"] and after["choose_day"] == ["gate_tuples"]
    assert after["gate_evaluation"] == ["evaluate_retrieval"] and after["publish_release"] == ["gate_evaluation"]


def test_a_train_day_and_a_delta_day_meet_at_the_gate_of_the_index(dag: dict) -> None:
    after = dag["after"]
    assert after["train_day.train_model"] == after["delta_day.carry_model"] == ["choose_day"]
    assert after["train_day.embed_items"] == ["train_day.train_model"]
    assert after["delta_day.embed_items"] == ["delta_day.carry_model"]
    assert after["gate_index"] == ["delta_day.build_index", "train_day.build_index"]
    assert dag["rules"] == {"gate_index": "none_failed_min_one_success", "report": "all_done"}


def test_the_report_is_built_in_any_case_and_does_not_hide_a_failure(dag: dict) -> None:
    leaves = set(dag["after"]) - {name for before in dag["after"].values() for name in before}
    assert leaves == {"report", "released"}
    assert dag["after"]["report"] == dag["after"]["released"] == ["publish_release"]


def test_every_job_of_a_shop_is_submitted_once_on_either_kind_of_day(dag: dict) -> None:
    for branch in ("train_day", "delta_day"):
        tasks = [task for task in dag["argv"] if "." not in task or task.startswith(branch)]
        jobs = [Path(next(word for word in dag["argv"][task] if word.endswith(".py"))).stem for task in tasks]
        assert sorted(jobs) == sorted(span(FIRST_OF_A_SHOP, JOB_NAMES[-1]))


def test_every_submitted_command_is_the_job_for_the_day_that_has_just_ended_from_the_pinned_entry(dag: dict) -> None:
    for task, argv in dag["argv"].items():
        at = argv.index(next(word for word in argv if word.endswith(".py")))
        job = Path(argv[at]).stem
        assert argv[:3] == ["spark-submit", "--master", "spark://cluster:7077"]
        assert argv[at] == f"/srv/mmse/jobs/{job}.py" and (ROOT / "jobs" / f"{job}.py").is_file()
        assert task.rpartition(".")[2] in (job, "carry_model")
        assert argv[at + 1:] == [
            "--config", "/etc/mmse/shop.yaml", "--date", "2026-01-08", "--entry", "12", "--chain", "scheduled__1",
        ]
        parsed = job_parser(Job(job, (), (), lambda context: None)).parse_args(argv[at + 1:])
        assert (parsed.entry, parsed.chain) == (12, "scheduled__1")
    assert dag["by_hand"][2:4] == ["--date", "2025-12-24"]


def test_reading_the_dag_imports_no_engine_and_takes_less_than_a_second(dag: dict) -> None:
    assert dag["heavy"] == []
    assert dag["seconds"] < 1  # of the processor: Airflow's own core, which a DAG processor has loaded, is not counted


def test_only_exit_code_one_is_worth_a_retry_and_a_gate_never_is(dag: dict) -> None:
    assert dag["retry"] == [False, True, True, True, False]
    assert set(dag["retries"].values()) == {0} and len(dag["retries"]) == 5


def test_one_run_at_a_time_with_an_explicit_data_interval(dag: dict) -> None:
    assert (dag["timetable"], dag["active"], dag["catchup"]) == ("CronDataIntervalTimetable", 1, False)


def test_the_release_is_an_asset_and_every_task_says_what_it_does(dag: dict) -> None:
    assert dag["outlets"] == {"publish_release": ["mmse://warehouse/release"]}
    assert dag["undocumented"] == []


def test_nobody_is_alerted_unless_a_webhook_is_named(dag: dict, tmp_path: Path) -> None:
    assert dag["alerts"] == []
    told = probe(tmp_path, MMSE_ALERT_URL="http://127.0.0.1:9/hook")
    assert sorted(told["alerts"]) == sorted(told["after"])
