"""What clients do, as generators of steps."""
