"""What a bucket has, what is taken of it ahead, and which limits hold for a client: functions of data and time."""
