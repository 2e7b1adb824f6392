"""TensorRT: its packages, and engines: how they are specified, built, kept and run."""
