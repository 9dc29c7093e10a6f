"""What replicate.sh asks of run.sh, seen by one that only says how it was called."""

import shutil
import subprocess
from pathlib import Path

import pytest

from auralign.recipe import load_recipe, parse_arguments

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes" / "LibriSpeech"
METHODS = ["transcription", "sit", "sift"]
CHANGED = "--data_folder exp/replicate/data --exp_folder exp/replicate --max_cache_gigabytes 60 --generate_batch_size 256"
STEPS = (
    "--num_steps 5300 --num_warmup_steps 500 --valid_every 530 --tokens_per_pack 4096 --decode_batch_size 256"
)


@pytest.fixture
def replicate(tmp_path):
    """Runs replicate.sh beside a run.sh that prints its arguments, a line each; gives (exit code, lines, stderr)."""
    recipe = tmp_path / "recipes" / "LibriSpeech"
    recipe.mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "parse_options.sh", tmp_path / "tools")
    shutil.copy(RECIPE / "replicate.sh", recipe)
    (recipe / "run.sh").write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n")
    (recipe / "run.sh").chmod(0o755)

    def run(*arguments):
        found = subprocess.run(
            ["/bin/bash", str(recipe / "replicate.sh"), *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        return found.returncode, found.stdout.splitlines(), found.stderr

    run.recipe = recipe
    return run


def options_of(lines):
    """(the options of run.sh by name, what follows --)"""
    place = lines.index("--")
    pairs = iter(lines[:place])
    return dict(zip(pairs, pairs, strict=True)), lines[place + 1 :]


def test_help_tells_what_is_expected_and_that_it_was_not_run(replicate):
    code, lines, errors = replicate("--help")
    assert (code, errors) == (0, "")
    text = "\n".join(lines)
    assert "NOT RUN" in text
    assert all(word in text for word in ("EXPECTED", "TIME", "WER", "Recovery of obey", *METHODS))


def test_three_kinds_of_targets_are_run_on_train_clean_100(replicate):
    code, lines, _ = replicate("--data", "/corpora/LibriSpeech")
    options, rest = options_of(lines)
    assert code == 0
    assert options == {
        "--stage": "1",
        "--stop-stage": "5",
        "--launcher": "local",
        "--experiment": ",".join(METHODS),
        "--data": "/corpora/LibriSpeech",
        "--llm": "Qwen/Qwen2.5-0.5B-Instruct",
        "--encoder": "openai/whisper-small",
        "--splits": "train-clean-100 dev-clean test-clean test-other",
    }
    assert " ".join(rest) == f"{CHANGED} {STEPS}"


def test_other_places_stages_and_keys_are_passed_on(replicate):
    asked = "--data D --llm L --encoder E --folder F --stage 4 --stop-stage decode --download -- --seed 2"
    _, lines, _ = replicate(*asked.split())
    assert lines[:2] == ["--stage", "4"]
    assert "--download" in lines
    lines.remove("--download")
    options, rest = options_of(lines)
    assert [options[name] for name in ("--data", "--llm", "--encoder", "--stop-stage")] == [
        "D",
        "L",
        "E",
        "4",
    ]
    assert rest[:4] == ["--data_folder", "F/data", "--exp_folder", "F"]
    assert rest[-2:] == ["--seed", "2"]


def test_misspelt_option_is_named(replicate):
    code, lines, errors = replicate("--folders", "F")
    assert (code, lines) == (2, [])
    assert "did you mean --folder?" in errors


def test_options_are_those_of_run_sh(replicate):
    _, lines, _ = replicate("--data", "D", "--download")
    lines.remove("--download")
    known = [line.partition("=")[0] for line in (RECIPE / "run.sh").read_text().splitlines() if "=" in line]
    assert {option[2:].replace("-", "_") for option in options_of(lines)[0]} <= set(known)


def test_nothing_is_written_where_the_whole_recipe_writes(replicate):
    _, lines, _ = replicate("--data", "D")
    _, overrides = parse_arguments(options_of(lines)[1])
    written = []
    for method in METHODS:
        hparams = load_recipe(RECIPE / "hparams" / f"{method}.yaml", overrides)
        written.append(hparams.output_folder)
        folders = (hparams.data_folder, hparams.text_folder, hparams.score_folder, hparams.output_folder)
        assert all(folder.startswith("exp/replicate/") for folder in folders)
        assert hparams.num_steps == 5300
    assert len(set(written)) == 3
