"""Writes an empty service into the checkout: `make service NAME=foo`."""
