"""The Spark session: ours for `mmse`, spark-submit's where spark-submit started us."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from jobs.runtime.config import Config

FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Noting the line of Python behind every expression takes more time than building the plan.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Spark keeps 100 compiled classes; `mmse run` needs several hundred, and compiled them again in every job.
    "spark.sql.codegen.cache.maxEntries": "2000",
    # From 33 paths on Spark lists them in a job of a task each: a processor second for 200 files, a tenth of one in the driver.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1024",
}

QUIET = Path(__file__).with_name("log4j2.properties")
ENDS = "-XX:+ExitOnOutOfMemoryError"
"""A driver that lives on without memory may have lost any of Spark's threads, and wait for it all night."""


def start_session(config: Config, name: str) -> Any:
    """A SparkSession with the properties every job relies on.

    Where spark-submit launched this process its master and memory win; `spark.conf` of
    the configuration wins over the fixed ones, because it is the user's last word.
    """
    from pyspark.sql import SparkSession

    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(f"mmse {name}")
    properties = dict(FIXED)
    properties["spark.sql.shuffle.partitions"] = str(config.spark.shuffle_partitions)
    if not submitted:
        builder = builder.master(config.spark.master)
        properties["spark.driver.memory"] = config.spark.driver_memory
        properties["spark.driver.extraJavaOptions"] = f"-Dlog4j2.configurationFile={QUIET.as_uri()} {ENDS}"
        if config.spark.master.startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            properties["spark.driver.host"] = "127.0.0.1"
    properties.update(config.spark.conf)
    for key, value in properties.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    # Analysis errors would otherwise print kilobytes of JSON beside our one sentence.
    spark._jvm.org.apache.logging.log4j.core.config.Configurator.setLevel(  # type: ignore[union-attr]
        "SQLQueryContextLogger", spark._jvm.org.apache.logging.log4j.Level.OFF  # type: ignore[union-attr]
    )
    return spark
