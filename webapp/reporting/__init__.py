"""Figures and the dashboard: sums over the orders by day, store, marketplace, state and currency."""
