"""The study runner: a plan (TOML) becomes steps, steps become files, files become a report."""
