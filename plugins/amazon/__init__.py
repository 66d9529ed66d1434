"""Amazon as a channel of the desk, and the practice Amazon to learn and test with."""
