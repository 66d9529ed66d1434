"""The ledger: invoices of orders. The mirror of what a channel charges is in `orders`."""
