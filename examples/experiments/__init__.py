"""Three feeds, of which one is better for people and one does harm."""
