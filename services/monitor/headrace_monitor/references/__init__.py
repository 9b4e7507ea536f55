"""What windows are held against: frozen from a version's artifact or from its log, kept with their history."""
