"""Databases with the schema of the autoscaler, and of the monitor: their migrations take longer than most tests."""

from tests.kit.stores.servers import postgres_url_with

postgres_url = postgres_url_with("headrace_autoscaler.storage.sql")
second_postgres_url = postgres_url_with("headrace_monitor.storage.sql", name="second_postgres_url")
