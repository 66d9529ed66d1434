"""The pages of one order: their content, acting on the order, and the parts that load by themselves."""
