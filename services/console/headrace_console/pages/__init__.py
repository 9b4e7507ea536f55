"""The pages: each reads by the API what its template shows, and says which command does the same."""
