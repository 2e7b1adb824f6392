"""Making models: the network in PyTorch, its training and its export to ONNX. Run from a checkout, not installed."""
