"""Seals: the number of the seal on each parcel. A plugin that uses whatever a plugin can, for the tests."""
