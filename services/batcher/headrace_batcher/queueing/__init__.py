"""What waits for one version: in which order it goes, who is let in, and who has to make room."""
