"""Plots of a benchmark."""
