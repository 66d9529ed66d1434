"""Figures and the dashboard: what the orders add up to, by day, store, marketplace, state and currency."""
