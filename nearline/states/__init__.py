"""Members' states: the fold of a batch, the fenced write, the cache, and the watermarks that say how far it all got."""
