"""# mmse, every night

Yesterday's search log becomes today's query encoder and index: one spark-submit per job, with gates between them.

    wait_for_log -> ingest -> gate -> label -> gate -> tuples -> gate
                 -> train day or delta day -> gate -> evaluate -> gate -> release; report in any case

A **train day** trains the towers, embeds every item and builds the whole index; a **delta day** serves the recent model
again, embeds what changed and puts it beside the index of the day before. `mmse plan` says which it is, by
`train.every_days`. Every job audits what it wrote and publishes it in one entry of
the snapshot log, or nothing; a **gate** reads what the audits said and stops the night before the next step. All jobs of a
run read from the entry it began with and from what the run itself has published since (`--entry`, `--chain`): a backfill
beside it is never mixed in, and where both rewrite the same day the snapshot log fences one of them (exit 4). What was
stopped by a gate, or ended with exit 2, 3 or 4, is not retried: a retry would read the same bytes and stop again.

**By hand**: trigger with `{"dt": "2026-01-08"}`; `"lookback": 7` catches up on earlier days that lack a snapshot,
`"force": true` trains although a recent model would serve. **Backfill**: `airflow backfill create --dag-id mmse_daily
--from-date ... --to-date ... --max-active-runs 1`; more than one at a time is safe, and mostly fenced. A
backfill repeats what was known by its date, and the next night labels again the days that it took back to it
(docs/ARCHITECTURE.md).

Connection: `spark_default`. Environment, because Airflow lives in one of its own: `MMSE_HOME` (checkout), `MMSE_CONFIG`
(YAML), `MMSE_PYTHON` (the pipeline's own Python), `MMSE_POOL` (pool of the spark-submits), `MMSE_ALERT_URL` (webhook that
is told of failures; none by default).
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import mmse_tasks
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param, PokeReturnValue, TaskGroup, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.interval import CronDataIntervalTimetable

HOME = os.environ.get("MMSE_HOME", ".")
CONFIG = os.environ.get("MMSE_CONFIG", "conf/demo.yaml")
PYTHON = os.environ.get("MMSE_PYTHON", ".venv/bin/python")
POOL = os.environ.get("MMSE_POOL", "default_pool")
ALERT_URL = os.environ.get("MMSE_ALERT_URL", "")

DAY = "{{ params.dt or (data_interval_start | ds) }}"
ENTRY = "{{ ti.xcom_pull(task_ids='wait_for_log')['entry'] }}"
JOINED = "none_failed_min_one_success"
NOT_WORTH_A_RETRY = re.compile(r"Error code is: ([234])\b")


class MmseJob(SparkSubmitOperator):
    """spark-submit of one job; exit codes 2, 3 and 4 fail the task for good."""

    def execute(self, context: Any) -> None:
        """Runs the job. Raises AirflowFailException where a retry cannot help, AirflowException otherwise."""
        self.application_args = [*self.application_args, *mmse_tasks.job_settings(self.task_id, context["params"])]
        try:
            super().execute(context)
        except AirflowException as error:
            code = NOT_WORTH_A_RETRY.search(str(error))
            if code:
                raise AirflowFailException(f"{self.task_id} stopped with exit code {code[1]}; its log says why") from error
            raise


def job(name: str, **options: Any) -> MmseJob:
    """The task of one job; the date is the parameter `dt`, else the day that has just ended."""
    return MmseJob(**{
        "task_id": name,
        "application": f"{HOME}/jobs/{name}.py",
        "name": f"mmse {name}",
        "conn_id": "spark_default",
        "application_args": ["--config", CONFIG, "--date", DAY, "--entry", ENTRY, "--chain", "{{ run_id }}"],
        "env_vars": {"PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON},
        "pool": POOL,
        "doc_md": f"`spark-submit jobs/{name}.py`: see the table of jobs in the README.",
        **options,
    })


def gate(name: str, jobs: tuple[str, ...], **options: Any) -> Any:
    """A task that goes on where every one of `jobs` was audited in this run and none was blocked."""

    @task(task_id=f"gate_{name}", retries=0, doc_md=f"Reads `verdict.json` of {', '.join(jobs)}.", **options)
    def check(day: str) -> dict[str, list[str]]:
        try:
            return mmse_tasks.open_gate(get_current_context()["ti"].xcom_pull(task_ids="wait_for_log"), day, jobs)
        except mmse_tasks.GateClosed as closed:
            raise AirflowFailException(str(closed)) from None

    return check(day=DAY)


def tell(context: Any) -> None:
    """Says to the webhook which task failed on which day."""
    failed = context["task_instance"]
    mmse_tasks.alert(ALERT_URL, f"mmse_daily {context['run_id']}: {failed.task_id} failed: {context.get('exception')}")


@task.sensor(task_id="wait_for_log", poke_interval=300, timeout=12 * 3600, mode="reschedule")
def wait_for_log(day: str) -> PokeReturnValue:
    """Waits until the raw log of the day is delivered, then pins the entry and the kind of the day for the whole run."""
    said = mmse_tasks.run_command(mmse_tasks.command(PYTHON, "plan", "--config", CONFIG, "--date", day), HOME)
    plan = json.loads(said)
    return PokeReturnValue(is_done=plan["delivered"], xcom_value=plan)


@task.branch(task_id="choose_day")
def choose_day() -> str:
    """Train day or delta day."""
    context = get_current_context()
    return mmse_tasks.branch(context["ti"].xcom_pull(task_ids="wait_for_log"), bool(context["params"].get("force")))


@task(task_id="report", trigger_rule="all_done", doc_md="`mmse report`: the page of the date, whatever became of the run.")
def report(day: str) -> str:
    """The path of the page."""
    return mmse_tasks.run_command(mmse_tasks.command(PYTHON, "report", "--config", CONFIG, "--date", day), HOME)


with DAG(
    dag_id="mmse_daily",
    doc_md=__doc__,
    # Said explicitly: a bare cron string makes Airflow 3 run with an empty interval, and `ds` is then today.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # One run at a time: tonight's labels rewrite days that last night's run would still be reading; the
    # snapshot log would fence one of the two, after it had done the work for nothing.
    max_active_runs=1,
    params={
        "dt": Param(None, type=["null", "string"], format="date", description="day to work on, YYYY-MM-DD"),
        "lookback": Param(None, type=["null", "integer"], minimum=0, maximum=366, description="earlier days to catch up on"),
        "force": Param(False, type="boolean", description="train although a recent model would serve"),
    },
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
        "execution_timeout": timedelta(hours=6),
        "on_failure_callback": tell if ALERT_URL else None,
    },
    tags=["mmse", "search"],
) as dag:
    wait_for_log(day=DAY) >> job("ingest_logs") >> (items := job("ingest_items"))
    items >> (checked := gate("ingest", ("ingest_logs", "ingest_items")))
    checked >> job("label_impressions") >> (checked := gate("labels", ("label_impressions",)))
    checked >> job("build_vocabulary") >> job("build_tuples") >> (checked := gate("tuples", ("build_vocabulary", "build_tuples")))

    checked >> (day_kind := choose_day())
    with TaskGroup("train_day", tooltip="train, embed every item, build the whole index"):
        day_kind >> job("train_model") >> job("embed_items") >> (trained := job("build_index"))
    with TaskGroup("delta_day", tooltip="the recent model again, and what changed beside its index"):
        day_kind >> job("train_model", task_id="carry_model") >> job("embed_items") >> (carried := job("build_index"))

    [trained, carried] >> (checked := gate("index", ("train_model", "embed_items", "build_index"), trigger_rule=JOINED))
    checked >> job("evaluate_retrieval") >> (checked := gate("evaluation", ("evaluate_retrieval",)))
    checked >> (release := job("publish_release", outlets=[Asset("mmse_release", uri="mmse://warehouse/release")]))
    release >> report(day=DAY)
    # A leaf that a failure reaches: with the report alone, which always runs, a failed night would count as a success.
    release >> EmptyOperator(task_id="released")
