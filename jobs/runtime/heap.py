"""A heap that ran out said in one sentence: which setting gives more, and what it is now."""

from __future__ import annotations

import subprocess

from jobs.runtime.config import Config
from jobs.runtime.errors import HeapSpent

SAID = ("java.lang.OutOfMemoryError", "SparkOutOfMemoryError")
ENDED = (3, 52)
"""Exit codes of a JVM without memory: that of -XX:+ExitOnOutOfMemoryError, and that of Spark's own handler."""
PATIENCE = 5
"""Seconds from a closed connection to the end of the JVM that had it."""


def heap_spent(error: BaseException, config: Config) -> HeapSpent | None:
    """The error as HeapSpent where a JVM without memory is behind it; None otherwise.

    Spark says so in a stack trace where its JVM lives on; where that has ended, Python has only met a closed connection.
    """
    if not any(words in str(error) for words in SAID) and driver_ended(error) not in ENDED:
        return None
    memory = config.spark.conf.get("spark.driver.memory", config.spark.driver_memory)
    master = config.spark.master
    local = f"fewer cores than spark.master = {master}"
    other = local if master.startswith("local") else "its executors more spark.executor.memory"
    return HeapSpent(f"Spark ran out of memory with spark.driver_memory = {memory}; give it more, or {other}, and run again: "
                     "nothing was published")


def driver_ended(error: BaseException) -> int | None:
    """Exit code of the JVM that this process started for Spark; None while it lives, or where spark-submit started both."""
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark import SparkContext

    process = getattr(SparkContext._gateway, "proc", None)
    if process is None:
        return None
    if not isinstance(error, (Py4JError, ConnectionError)) or isinstance(error, Py4JJavaError):
        return process.poll()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return None
