"""Ablation: many configurations of the model on the same data, side by side."""
