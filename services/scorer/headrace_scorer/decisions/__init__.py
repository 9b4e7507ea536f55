"""What the scorer decides: functions of values and time."""
