"""What buyers are told, and each order's thread with its buyer."""
