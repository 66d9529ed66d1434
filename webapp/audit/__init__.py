"""Who acts, and the record of acts."""
