"""The catalogue: its lines judged one by one, and the dense numbering."""
