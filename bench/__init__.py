"""Measurements: each module prints the figures of one run; compare only ratios within a run."""
