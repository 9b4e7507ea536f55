"""ControlService: batchers and data planes, which of them are there and how far they are."""
