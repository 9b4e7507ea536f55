"""What a route table means: functions of data and time, without I/O."""
