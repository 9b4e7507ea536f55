"""References that windows are compared with: frozen from a version's artifact or its log, stored with their history."""
