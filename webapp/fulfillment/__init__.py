"""Shipments and their packages: what left the house, who carries it, and who ships."""
