"""The steps of `ingest_logs`, one module each."""
