"""Who acts, and the record of it."""
