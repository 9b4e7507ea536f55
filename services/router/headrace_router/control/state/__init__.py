"""What the store says, as this process knows it, and who waits for it to change."""
