"""Adapters from raw log formats to the canonical requests and events."""
