"""A database for each test that has the monitor's schema already: its migrations take longer than most tests."""

from tests.kit.stores.servers import postgres_url_with

postgres_url = postgres_url_with("headrace_monitor.storage.sql")
