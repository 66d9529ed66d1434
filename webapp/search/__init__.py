"""Finding orders: words become keyed hashes, so that a copy of the index reveals no word."""
