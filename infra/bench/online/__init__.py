"""What the request library is worth: pages and lists beside bare reads of the same bytes and beside rivals, in the same run."""
