"""Training images and their masks."""
