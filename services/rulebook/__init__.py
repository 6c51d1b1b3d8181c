"""Rulebooks for those who write them: check, new, show, test and diff."""
