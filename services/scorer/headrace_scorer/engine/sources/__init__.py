"""Rows of databases and catalogs, read once and copied as Parquet."""
