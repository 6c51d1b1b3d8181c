"""Ranks all units and publishes snapshots."""
