"""Spreadsheets, where offices live: rows become events, templates and publication tables (公示表) are written."""
