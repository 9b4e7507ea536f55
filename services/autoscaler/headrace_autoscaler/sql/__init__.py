"""SQL of the autoscaler."""
