"""PostgreSQL as every service that owns data uses it: bounded waits, SQL in files, migrations at start.

Needs the extra `headrace-servicekit[postgres]`.
"""
