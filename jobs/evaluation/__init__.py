"""Offline evaluation: what is relevant on the test days, what each system retrieves, and how they compare."""
