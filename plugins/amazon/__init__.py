"""Amazon as a channel of the desk, and a practice Amazon for learning and testing."""
