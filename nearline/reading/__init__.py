"""Kafka's side of the worker: reading in batches, the agent for feedback, carrying batches to the writers' thread."""
