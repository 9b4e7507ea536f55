"""The Open Inference Protocol: `inference.GRPCInferenceService` and the REST paths under `/v2`."""
