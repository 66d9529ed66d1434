"""The desk's orders: lines, amounts, events, states, and what can be done to them."""
