"""Where an answer may come from, by the names that tests call it."""

from headrace.router.v1 import predict_pb2

ONLINE = predict_pb2.PredictResponse.SERVED_FROM_ONLINE
CACHE = predict_pb2.PredictResponse.SERVED_FROM_CACHE
PRECOMPUTED = predict_pb2.PredictResponse.SERVED_FROM_PRECOMPUTED
STALE = predict_pb2.PredictResponse.SERVED_FROM_STALE
FALLBACK = predict_pb2.PredictResponse.SERVED_FROM_FALLBACK
