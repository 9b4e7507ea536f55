"""Which batcher gets a request, and how long an answer takes: functions of data and time, without I/O."""
