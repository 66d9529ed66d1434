"""Lists of anything: subjects, walking them by keyset, saved views, layouts, exports."""
