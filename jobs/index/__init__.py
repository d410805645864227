"""The parts of embed_items, build_index and publish_release."""
