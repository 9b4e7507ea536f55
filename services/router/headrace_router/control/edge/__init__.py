"""What the front door asks on behalf of callers from outside: reflection and health of the whole installation."""
