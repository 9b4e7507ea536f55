"""Which fallback is tried next, and for which errors: functions of data and time, without I/O."""
