"""The script that Valkey runs."""
