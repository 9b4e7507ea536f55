"""SQL over the prediction log: views of what a caller may read, in a child process without any other access."""
