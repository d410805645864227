"""Spark jobs of mmse: one module per spark-submit entry point."""
