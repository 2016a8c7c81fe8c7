"""How the worker tells that it is well, and ends itself when it is not."""
