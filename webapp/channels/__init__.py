"""Shops, stores, and what channels report about their orders. The contract of a channel plugin is in `contract`."""
