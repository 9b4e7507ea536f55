"""Pure rules of comparing answers with shadows'."""
