"""Models and versions: registering, reading, watching, measuring them."""
