"""Model files: read from S3 and kept on disk, by a process of their own."""
