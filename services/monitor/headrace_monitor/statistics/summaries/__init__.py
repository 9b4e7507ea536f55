"""What is kept of a window instead of its values: bounded, mergeable in any order, exact where it says so."""
