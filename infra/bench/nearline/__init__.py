"""What the nearline layer is worth: the worker and its rivals over the same events, in the same run."""
