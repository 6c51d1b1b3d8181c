"""Folds the ledger into one DuckDB file."""
