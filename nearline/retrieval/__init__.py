"""Re-retrieval: fresh candidates for a member who has just given a signal."""
