"""Lists of any records: subjects, paging by keyset, saved views, layouts and exports."""
