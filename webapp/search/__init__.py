"""Finding orders: words become keyed hashes, so that the index says nothing to whoever copies it."""
