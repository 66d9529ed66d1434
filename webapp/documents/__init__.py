"""Documents on paper: packing slips now, other documents later."""
