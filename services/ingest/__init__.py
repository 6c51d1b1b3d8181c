"""Takes what parties publish, checks it, and appends it to the ledger."""
