"""The console: an installation in a browser, by the public API and each person's own token."""
