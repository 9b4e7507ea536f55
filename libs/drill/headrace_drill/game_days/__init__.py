"""Game days: a version asked for predictions while its backend is made to fail, and what its route made of that."""
