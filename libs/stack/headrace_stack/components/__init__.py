"""One module per component that comes as a wheel."""
