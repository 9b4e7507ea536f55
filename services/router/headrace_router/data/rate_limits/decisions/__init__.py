"""What a bucket has, what is taken of it ahead, and which limits hold for whom: functions of data and time."""
