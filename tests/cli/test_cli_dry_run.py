"""`train --dry-run` and `--max-tokens` on the command line."""


def test_a_dry_run_prints_its_report_on_stdout(s2st, world, tmp_path):
    options = ("--hidden-size", 8, "--embedding-size", 8, "--save-dir", tmp_path / "never")
    outcome = s2st("train", world.store, *options, "--dry-run", "--max-tokens", "auto")
    assert outcome.code == 0, outcome.err
    labels = [line.split(":")[0] for line in outcome.lines]
    assert labels == [
        "longest batch", "memory", "speed", "time", "largest --max-tokens that fits",
        "--max-tokens auto",
    ]  # fmt: skip
    assert "s2st: --max-tokens auto: " in outcome.err
    assert not (tmp_path / "never").exists()


def test_a_word_that_is_no_number_is_refused(s2st, world, tmp_path):
    command = ("train", world.store, "--save-dir", tmp_path / "never")
    s2st(*command, "--max-tokens", "all").check_error(2, "--max-tokens", "whole number or auto")
    config = tmp_path / "options.toml"
    config.write_text('max-tokens = "all"\n')
    s2st(*command, "--config", config).check_error(2, f"{config}: --max-tokens", "or auto")
    assert "N|auto" in s2st("train", "--help").out
