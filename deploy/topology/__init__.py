"""What follows from deploy/topology.toml in the files of others: Compose, Kubernetes, Prometheus, documents, tools."""
