"""The merchant's products: the listings under which stores sell them."""
