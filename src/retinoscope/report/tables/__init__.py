"""Records to tables: tidy polars frames, one row for each condition, with n and intervals."""
