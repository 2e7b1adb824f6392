"""Training: clicks, losses, optimizers, runs."""
