"""A real Kafka broker, a real Redis and a real Spark cluster on this machine, as supervised child processes."""
