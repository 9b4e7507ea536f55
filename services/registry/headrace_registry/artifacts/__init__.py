"""Artifact files: received, hashed, looked into, and kept in S3 under their SHA-256."""
