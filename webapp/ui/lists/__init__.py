"""The pages of many orders: the list with its query, columns and views, acts on many, exports and packing slips."""
