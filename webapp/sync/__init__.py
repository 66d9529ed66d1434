"""Traffic with channels: windows of orders coming in, updates owed to them going out."""
