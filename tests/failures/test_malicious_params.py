"""Parameters of the nightly DAG that somebody has put code into: refused by type, never rendered twice, never seen by a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_dags.mmse_tasks import command, job_settings, run_command
from tests.conftest import REPOSITORY

PYTHON = REPOSITORY / ".venv-airflow" / "bin" / "python"
HOSTILE = (
    "{{ 7 * 7 }}", "{{ conn.spark_default.password }}", "2026-01-08; touch x", "$(touch x)", "../../etc", "--set=paths.raw=/etc", "2026-13-01"
)
PROBE = """
import json, sys
sys.path.insert(0, "airflow_dags")
import mmse_daily
dag, asked = mmse_daily.dag, json.loads(sys.argv[1])
def accepted(name, value):
    try:
        dag.params.get_param(name).resolve(value)
        return True
    except Exception:
        return False
task = next(t for t in dag.tasks if t.task_id == "ingest_logs")
class Ti:
    def xcom_pull(self, **_):
        return {"entry": 3}
run = {"params": {"dt": asked["dt"][0]}, "data_interval_start": None, "run_id": asked["dt"][0], "ti": Ti()}
print(json.dumps({
    "dt": [accepted("dt", v) for v in asked["dt"]], "good": accepted("dt", "2026-01-08"),
    "lookback": [accepted("lookback", v) for v in asked["lookback"]], "force": [accepted("force", v) for v in asked["force"]],
    "rendered": task.render_template(task.application_args, run, jinja_env=dag.get_template_env()),
}))
"""


def test_airflow_refuses_parameters_of_another_kind_and_renders_a_value_only_once(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("Airflow's environment is not here: make airflow-env")
    asked = {"dt": HOSTILE, "lookback": ["7; x", "{{ 7 }}", -1, 10**9, 1.5], "force": ["yes", 1, "{{ 1 }}"]}
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", PROBE, json.dumps(asked)], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["good"]
    assert not any([*said["dt"], *said["lookback"], *said["force"]])
    # Even past that check a template in a value stays text, one argument long, which `--date` then refuses.
    arguments = said["rendered"]
    assert arguments[arguments.index("--date") + 1] == HOSTILE[0]
    assert arguments[arguments.index("--chain") + 1] == HOSTILE[0]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_reaches_a_command_as_one_argument_and_no_shell(tmp_path: Path, value: str) -> None:
    said = run_command([sys.executable, "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", value], str(tmp_path))
    assert json.loads(said) == [value]
    assert command("python", "plan", "--date", value)[-1] == value
    assert list(tmp_path.iterdir()) == []


def test_a_setting_made_from_a_parameter_is_a_number() -> None:
    assert job_settings("ingest_logs", {"lookback": 7}) == ["--set", "ingest.catch_up_days=7"]
    with pytest.raises(ValueError, match="invalid literal"):
        job_settings("ingest_logs", {"lookback": "7 --set x=y"})
