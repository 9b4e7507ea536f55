"""A million records of made-up customers, scored from S3."""
