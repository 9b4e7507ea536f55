"""Who is signed in: sessions in PostgreSQL, sealed by what only the browser has."""
