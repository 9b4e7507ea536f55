"""What changes the number of replicas: nothing, the wheel stack's supervisor, Kubernetes, Docker."""
