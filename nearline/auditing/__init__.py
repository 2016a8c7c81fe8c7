"""States in Redis against the log: verify and repair."""
