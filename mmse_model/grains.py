"""Text and attributes to ids."""

from mmse_model.layout import PADDING, GrainLayout, GrainRange, make_layout

__all__ = ["PADDING", "GrainLayout", "GrainRange", "make_layout"]
