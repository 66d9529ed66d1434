"""What comes back: return requests of orders, from the request to the goods and the money."""
