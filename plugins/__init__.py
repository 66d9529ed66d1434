"""Plugins: each folder adds something to Waybill and can be taken away."""
