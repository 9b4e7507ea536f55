"""Files as tables, some rows at a time, each row with its number in the file."""
