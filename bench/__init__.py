"""What measures: each module prints figures of one run; ratios within a run are what counts."""
