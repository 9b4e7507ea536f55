"""What a caller asks: the request as it came and as it is resolved, its deadline, and what is noted of it."""
