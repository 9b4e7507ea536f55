"""Game days: the commands of the part drill."""
