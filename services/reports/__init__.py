"""What is read out of a snapshot: statements, appeals, readiness, differences, what-if, publication tables."""
