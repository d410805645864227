"""A market small enough for tests, as `--set` overrides of conf/demo.yaml."""

SMALL_MARKET = [
    "market.items=2000", "market.requests=5000", "spark.driver_memory=2g", "spark.shuffle_partitions=2",
    "index.lists=16", "train.epochs=1", "item_stream.entries=5000", "evaluate.bootstrap=200",
]
