"""Replays, exports, proves and witnesses a ledger."""
