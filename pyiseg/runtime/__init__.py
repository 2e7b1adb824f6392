"""What runs a session on a device: the CPU through ONNX Runtime, CUDA through whatever engines there are."""
