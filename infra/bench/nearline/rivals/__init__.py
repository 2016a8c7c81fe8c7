"""Other ways of doing the worker's work, each a program of its own that measures itself: see `rivals.measuring`."""
