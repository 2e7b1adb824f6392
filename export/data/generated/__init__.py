"""Training images that are generated, by kind."""
