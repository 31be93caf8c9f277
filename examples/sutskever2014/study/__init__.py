"""Study runner: it expands a TOML plan into steps, runs them, and makes a report."""
