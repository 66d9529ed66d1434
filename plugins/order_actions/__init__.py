"""What a merchant can do to an order: ship and comment."""
