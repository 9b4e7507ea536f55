"""Making an ONNX model smaller and faster, and whether it stays the same model."""
