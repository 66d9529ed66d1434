"""What a merchant can do to an order: ship, hold, comment, organize, send elsewhere."""
