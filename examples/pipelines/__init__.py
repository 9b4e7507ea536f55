"""Pre- and postprocessing as ONNX graphs, and a pipeline of the two classifiers of digits."""
