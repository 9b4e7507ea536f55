"""The registry's SQL: queries.sql and the migrations."""
