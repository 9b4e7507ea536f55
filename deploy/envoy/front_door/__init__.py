"""The front door: Envoy's configuration as a pure function of settings, API descriptors and who is denied."""
