"""What is printed: packing slips now, other documents beside them later."""
