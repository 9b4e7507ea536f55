"""What a query can read, from its syntax tree, and the SQL of the views that it reads. Pure."""
