"""Replays, explains and proves a ledger."""
