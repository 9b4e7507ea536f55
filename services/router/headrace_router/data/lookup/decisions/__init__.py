"""Which stored answer may be given, and under which key: functions of data and time, without I/O."""
