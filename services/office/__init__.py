"""Spreadsheets, where offices live: rows become events, and templates are written."""
