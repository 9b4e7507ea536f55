"""RouteService: writing, reading and changing routes."""
