"""`auto` becomes what this machine does well, before anything is recorded."""

from pathlib import Path

import pytest

from auralign.recipe import RecipeError, hardware, load_recipe
from recipe import YAML

SIFT = Path(__file__).parents[3] / "recipes" / "LibriSpeech" / "hparams" / "sift.yaml"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes this machine one with these flags of its processor, and with or without a GPU."""

    def be(*flags, gpu=False):
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {' '.join(flags)}\n")
        (tmp_path / "gpu").unlink(missing_ok=True)
        if gpu:
            (tmp_path / "gpu").touch()
        monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(hardware, "GPUS", (str(tmp_path / "gpu"),))
        for name in hardware.HIDDEN:
            monkeypatch.delenv(name, raising=False)

    return be


def chosen(path, **overrides):
    recipe = load_recipe(path, {name.replace("__", "."): value for name, value in overrides.items()})
    return recipe.device, recipe.precision, recipe.llm.keywords.get("dtype")


@pytest.mark.parametrize(
    ("flags", "gpu", "values"),
    [
        (["avx2"], True, ("cuda", "bf16", "bfloat16")),
        (["avx2", "avx512f"], False, ("cpu", "fp32", "float32")),
        (["avx512_bf16"], False, ("cpu", "bf16", "bfloat16")),
        (["amx_bf16", "amx_tile"], False, ("cpu", "bf16", "bfloat16")),
    ],
)
def test_a_recipe_runs_on_what_is_there(machine, flags, gpu, values):
    machine(*flags, gpu=gpu)
    assert chosen(SIFT) == values


def test_a_gpu_that_is_hidden_is_none(machine, monkeypatch):
    machine("avx2", gpu=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert chosen(SIFT) == ("cpu", "fp32", "float32")


def test_what_the_command_line_names_is_kept(machine):
    machine("avx2")
    assert chosen(SIFT, device="cuda:1") == ("cuda:1", "bf16", "bfloat16")
    assert chosen(SIFT, precision="bf16") == ("cpu", "bf16", "bfloat16")
    assert chosen(SIFT, precision="bf16", llm__dtype="float32") == ("cpu", "bf16", "float32")
    assert chosen(SIFT, llm__dtype="bfloat16") == ("cpu", "fp32", "bfloat16")


@pytest.mark.parametrize(
    ("dtype", "overrides", "expected"),
    [
        ("    dtype: bfloat16\n", {}, "bfloat16"),
        ("    dtype: bfloat16\n", {"precision": "fp32"}, "float32"),
        ("    dtype: bfloat16\n", {"precision": "auto"}, "float32"),
        ("    dtype: bfloat16\n", {"precision": "fp32", "llm__dtype": "bfloat16"}, "bfloat16"),
        ("", {"precision": "bf16"}, None),  # the loader's own default, with which finished runs were made
        ("", {"precision": "bf16", "llm__dtype": "auto"}, "bfloat16"),
    ],
)
def test_the_dtype_of_the_llm_follows_a_precision_of_the_command_line(
    tmp_path, machine, dtype, overrides, expected
):
    machine("avx2")
    yaml = tmp_path / "one.yaml"
    text = YAML.format(method="sift", llm="llm", encoder="encoder", cache="off")
    yaml.write_text(text.replace("    path: llm\n", f"    path: llm\n{dtype}") + "precision: bf16\n")
    assert chosen(yaml, **overrides)[2] == expected


@pytest.mark.parametrize(
    ("dtype", "overrides", "expected"),
    [
        ("    dtype: auto\n", {}, "bfloat16"),
        ("    dtype: auto\n", {"precision": "fp32"}, "float32"),
        (
            "    dtype: float16\n",
            {"precision": "fp32"},
            "float16",
        ),  # frames, and caches of them, are of this type
        ("", {}, None),
        ("", {"encoder__dtype": "auto"}, "bfloat16"),
    ],
)
def test_the_dtype_of_the_encoder_follows_the_precision_if_it_is_asked_to(
    tmp_path, machine, dtype, overrides, expected
):
    machine("avx2")
    yaml = tmp_path / "one.yaml"
    text = YAML.format(method="sift", llm="llm", encoder="encoder", cache="off")
    yaml.write_text(text.replace("    path: encoder\n", f"    path: encoder\n{dtype}") + "precision: bf16\n")
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    assert load_recipe(yaml, given).encoder.keywords.get("dtype") == expected


def test_a_run_records_what_was_chosen(machine):
    machine("avx2")
    text = load_recipe(SIFT).source.text
    assert "auto" not in [
        line.split()[1] for line in text.splitlines() if line.startswith(("device:", "precision:"))
    ]
    assert "dtype: float32" in text


def test_another_precision_is_refused():
    with pytest.raises(RecipeError, match="precision: 'int8': use fp32 or bf16 or fp16"):
        load_recipe(SIFT, {"precision": "int8"})
