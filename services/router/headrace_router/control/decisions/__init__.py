"""What is decided, by rules alone: functions of state, event and time that touch nothing else."""
