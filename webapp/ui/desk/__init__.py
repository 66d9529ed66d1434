"""The pages around the orders: dashboard, stores, settings, people, runs, plugins."""
