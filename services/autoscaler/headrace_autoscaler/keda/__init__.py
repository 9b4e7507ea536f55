"""KEDA's external scaler: `externalscaler.ExternalScaler`, for installations where KEDA and an HPA act."""
