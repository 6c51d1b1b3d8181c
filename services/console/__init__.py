"""The console: pages over published snapshots, and SQL for operators."""
