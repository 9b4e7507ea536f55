"""What is decided without I/O: which fault meets which call, how long an execution takes, what a wrong answer is."""
