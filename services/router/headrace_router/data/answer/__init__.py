"""What a caller is given: an answer, or a refusal."""
