"""What every process is run by: settings, logs, metrics, traces, the run loop, the ways to end."""
