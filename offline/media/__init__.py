"""Media: access to films and shots, the feature store, annotations, match cutting. Empty until that work begins."""
