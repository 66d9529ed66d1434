"""What the merchant sells: the listings under which stores sell it."""
