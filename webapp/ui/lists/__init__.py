"""The pages of lists: rows, query, columns and views, acts on many orders, exports and packing slips."""
