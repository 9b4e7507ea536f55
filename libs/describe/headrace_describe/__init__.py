"""An installation as files: the SDK and the commands of the part describe."""
