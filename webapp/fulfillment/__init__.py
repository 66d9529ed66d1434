"""Shipments and their packages: which goods left, their carriers, and the providers who ship."""
