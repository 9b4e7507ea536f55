"""What the autoscaler keeps, in PostgreSQL."""
