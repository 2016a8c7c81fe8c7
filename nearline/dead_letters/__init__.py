"""Records that cannot be read: put aside, listed, shown, sent once more."""
