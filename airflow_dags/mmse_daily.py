"""# mmse, every night

Yesterday's search log becomes today's query encoder and index: one spark-submit per job, in the
order of the pipeline. Each job audits what it wrote and publishes it in one entry of the snapshot
log, or publishes nothing; so the gates are inside the jobs, and a job that was stopped by one
(exit 2, 3 or 4) is not retried: a retry would read the same bytes and stop again.

Run a date by hand: trigger with `{"dt": "2026-01-08"}`. Connection: `spark_default`.
Variables: `MMSE_HOME` (checkout), `MMSE_CONFIG` (YAML), `MMSE_PYTHON` (the pipeline's own Python),
read from the environment because Airflow lives in an environment of its own.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.timetables.interval import CronDataIntervalTimetable

HOME = os.environ.get("MMSE_HOME", ".")
CONFIG = os.environ.get("MMSE_CONFIG", "conf/demo.yaml")
PYTHON = os.environ.get("MMSE_PYTHON", ".venv/bin/python")

JOBS = (
    "ingest_logs", "ingest_items", "label_impressions", "build_vocabulary", "build_tuples", "train_model",
    "embed_items", "build_index", "evaluate_retrieval", "publish_release",
)
NOT_WORTH_A_RETRY = re.compile(r"Error code is: ([234])\b")


class MmseJob(SparkSubmitOperator):
    """spark-submit of one job; exit codes 2, 3 and 4 fail the task for good."""

    def execute(self, context: Any) -> None:
        """Runs the job. Raises AirflowFailException where a retry cannot help, AirflowException otherwise."""
        try:
            super().execute(context)
        except AirflowException as error:
            code = NOT_WORTH_A_RETRY.search(str(error))
            if code:
                raise AirflowFailException(f"{self.task_id} stopped with exit code {code[1]}; its log says why") from error
            raise


def job(name: str) -> MmseJob:
    """The task of one job; the date is the parameter `dt`, else the day that has just ended."""
    return MmseJob(
        task_id=name,
        application=f"{HOME}/jobs/{name}.py",
        name=f"mmse {name}",
        conn_id="spark_default",
        application_args=[
            "--config", CONFIG, "--date", "{{ params.dt or (data_interval_start | ds) }}",
        ],
        env_vars={"PYSPARK_PYTHON": PYTHON, "PYSPARK_DRIVER_PYTHON": PYTHON},
        doc_md=f"`spark-submit jobs/{name}.py`: see the table of jobs in the README.",
    )


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
    params={"dt": Param(None, type=["null", "string"], format="date", description="day to work on, YYYY-MM-DD")},
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=6),
    },
    tags=["mmse", "search"],
) as dag:
    tasks = [job(name) for name in JOBS]
    for before, after in zip(tasks, tasks[1:]):
        before >> after
