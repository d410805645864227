"""A real standalone Spark cluster on loopback, from the installed pyspark: one master, two one-core workers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

SPARK_HOME = Path(pyspark.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[1]
START_SECONDS = 90


def free_port() -> int:
    """A TCP port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(work: Path) -> dict[str, str]:
    """What master, workers and drivers share: one Python, one Spark, loopback only."""
    return {
        **os.environ, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_WORKER_DIR": str(work), "SPARK_NO_DAEMONIZE": "1",
    }


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `url` is what spark-submit calls the master."""

    url: str
    work: Path
    py_files: Path

    def submit(self, job: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """spark-submit of one job in client mode; the code travels by --py-files."""
        return self.submit_script(REPOSITORY / "jobs" / f"{job}.py", *arguments, timeout=timeout)

    def submit_script(
        self, script: Path, *arguments: str, timeout: float, python_path: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same of any script; the driver's Python, and only that, looks for modules in `python_path` as well."""
        command = [
            str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.url, "--deploy-mode", "client",
            "--driver-memory", "2g", "--executor-memory", "1g", "--executor-cores", "1", "--total-executor-cores", "2",
            "--py-files", str(self.py_files), str(script), *arguments,
        ]
        env = environment(self.work) | ({"PYTHONPATH": str(python_path)} if python_path else {})
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, cwd=REPOSITORY)


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A background process that ends with the block."""
    with open(log, "wb") as sink:
        process = subprocess.Popen(command, env=env, stdout=sink, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def standalone_cluster(work: Path) -> Iterator[Cluster]:
    """Starts master and workers and waits until both workers are registered."""
    work.mkdir(parents=True, exist_ok=True)
    py_files = work / "mmse.zip"
    package = [sys.executable, str(REPOSITORY / "scripts" / "package.py"), str(py_files)]
    subprocess.run(package, check=True, stdout=subprocess.DEVNULL)
    env, port = environment(work), free_port()
    url = f"spark://127.0.0.1:{port}"
    spark_class = str(SPARK_HOME / "bin" / "spark-class")
    with ExitStack() as stack:
        stack.enter_context(running(
            [spark_class, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port),
             "--webui-port", str(free_port())], env, work / "master.log",
        ))
        for n in (1, 2):
            stack.enter_context(running(
                [spark_class, "org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "2g",
                 "--host", "127.0.0.1", "--webui-port", str(free_port()), url], env, work / f"worker{n}.log",
            ))
        _wait_for_workers(work / "master.log", 2)
        yield Cluster(url, work, py_files)


def _wait_for_workers(log: Path, count: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if log.read_text(errors="replace").count("Registering worker") >= count:
            return
        time.sleep(0.3)
    raise TimeoutError(f"{count} workers did not register within {START_SECONDS} s; see {log}")
