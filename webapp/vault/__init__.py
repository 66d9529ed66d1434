"""Buyer data under keys: sealed per order, revealed by right and purpose, erased by destroying a key."""
