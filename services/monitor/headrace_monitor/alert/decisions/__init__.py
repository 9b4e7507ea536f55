"""What rules decide: whether a condition holds, which alerts open and resolve, what is refused. Pure."""
