"""The pages of one order: what they show, acting on it, its parts that load by themselves."""
