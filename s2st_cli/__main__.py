"""`python -m s2st_cli` is `s2st`."""

from s2st_cli.main import entry_point

if __name__ == "__main__":
    entry_point()
