"""Inference backends: Triton, and ONNX Runtime inside this process."""
