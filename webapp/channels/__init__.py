"""Shops, stores, and what channels say of their orders. The contract of a channel plugin stands in `contract`."""
