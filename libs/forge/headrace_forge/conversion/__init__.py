"""Model files of scikit-learn, XGBoost and LightGBM as ONNX."""
