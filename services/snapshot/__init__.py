"""Published snapshots: made, opened at a point in time, read as results, compared."""
