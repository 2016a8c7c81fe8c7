"""The crash proof: seeded runs on a real Kafka and Redis in which things die, judged by a plain fold of the log."""
