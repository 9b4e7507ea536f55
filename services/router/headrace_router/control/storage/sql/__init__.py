"""The control plane's SQL: queries.sql and the migrations."""
