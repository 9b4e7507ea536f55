"""What is said of a file that is not taken."""


class RefusedError(Exception):
    """The file is not what its type says, or cannot be served; the message says why."""
