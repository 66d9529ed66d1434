"""Taking in what a channel lists: from a page of incoming orders to the rows of the desk, each order once.

`pages` prepares and takes in a page, `writing` writes it through `new_orders` and `known_orders`, and `facts`
interprets a reading. `sync.runs`, `leases` and `jobs` decide when a store is read, by whom and how far.
"""
