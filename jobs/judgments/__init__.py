"""What ingest_judgments is made of."""
