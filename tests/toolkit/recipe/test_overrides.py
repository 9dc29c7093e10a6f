"""Any value that the YAML names can be changed on the command line: `--connector.stride 4`."""

from pathlib import Path

import numpy
import pytest
import torch

from auralign.constructor import Constructor
from auralign.recipe import RecipeError, load_recipe
from recipe import NUMBERS

YAML = (
    """\
seed: 1
width: 8
rate: 0.5
data_folder: data
output_folder: exp
text_folder: exp
score_folder: exp
method: !apply:auralign.plugins.load_method
    name: sit
llm: !name:builtins.dict
    dtype: float32
    path: !ref models/<width>
encoder: !name:builtins.dict
branches:
    voice:
        encoder: !name:builtins.dict
        connector: !name:builtins.dict {stride: 8}
connector: !name:builtins.dict
    stride: 8
    scale: !ref <rate>
    beta: 1.0
"""
    + NUMBERS
)


@pytest.fixture
def load(tmp_path):
    (tmp_path / "a.yaml").write_text(YAML)
    return lambda **overrides: load_recipe(
        tmp_path / "a.yaml", {name.replace("__", "."): value for name, value in overrides.items()}
    )


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ({"connector__stride": "4"}, 4),
        ({"connector__stride": "4.5"}, 4.5),
        ({"connector__stride": "null"}, None),
        ({"connector__stride": "[1, 2]"}, [1, 2]),
        ({"connector__stride": "!!python/name:os.system"}, "!!python/name:os.system"),
    ],
)
def test_an_argument_of_a_constructor_is_read_as_yaml_reads_it(load, override, found):
    assert load(**override).connector.keywords["stride"] == found


def test_a_float_stays_a_float(load):
    assert repr(load(connector__beta="2").connector.keywords["beta"]) == "2.0"
    assert load(connector__beta="3e-4").connector.keywords["beta"] == 0.0003


def test_text_stays_text(load):
    assert load(llm__dtype="16").llm.keywords["dtype"] == "16"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (Path("models") / "tiny", "models/tiny"),
        (numpy.float64(0.5), 0.5),
        (numpy.int64(4), 4),
        (torch.tensor(4), 4),
        ((1, Path("a")), [1, "a"]),
        ({"of": Path("a")}, {"of": "a"}),
    ],
)
def test_python_gives_paths_and_numbers_of_numpy(load, value, found):
    assert load(connector__stride=value).connector.keywords["stride"] == found


def test_python_gives_a_key_a_path(load):
    assert load(output_folder=Path("exp") / "a", lr=numpy.float32(0.5)).output_folder == str(
        Path("exp") / "a"
    )


def test_a_value_that_yaml_cannot_write_is_named(load):
    with pytest.raises(RecipeError, match=r"llm.dtype is given a dtype, torch.float32, .*give text"):
        load(llm__dtype=torch.float32)


def test_a_reference_is_replaced(load):
    assert load(llm__path="elsewhere").llm.keywords["path"] == "elsewhere"
    assert load(connector__scale="2").connector.keywords["scale"] == 2


def test_a_reference_follows_the_key_that_it_refers_to(load):
    assert load(rate="3e-1").connector.keywords["scale"] == 0.3
    assert load(width="9").llm.keywords["path"] == "models/9"


def test_a_constructor_without_arguments_gets_one(load):
    assert load(encoder__padding="true_length").encoder == Constructor("builtins.dict", padding="true_length")


def test_a_part_within_a_part_is_reached(load):
    recipe = load(branches__voice__connector__stride="2")
    assert recipe.branches["voice"]["connector"].keywords == {"stride": 2}


def test_an_option_of_the_method_is_reached(load):
    assert load(method__name="distillation", method__temperature="2").method.temperature == 2


def test_an_argument_of_a_default_is_reached(load):
    assert load(optimizer__betas="[0.9, 0.95]").optimizer == Constructor(
        "torch.optim.AdamW", betas=[0.9, 0.95]
    )
    assert load(template_options__enable_thinking="false").template_options == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"conector__stride": "4"}, "no key 'conector' to override; did you mean 'connector'"),
        (
            {"frozen__x": "4"},
            r"frozen has no parts to override: it is a list, which is given whole: --frozen '\[ONE, OTHER\]'",
        ),
        ({"lora__r": "4"}, "lora has no parts to override: the YAML gives none; write it there first"),
        ({"lr__rate": "4"}, "lr has no parts to override: it is 0.001"),
        ({"llm__path__x": "4"}, "llm.path has no parts to override: it is a reference, models/<width>"),
        ({"connector": "4"}, "change a part of it: --connector.NAME VALUE"),
        ({"method__temprature": "2"}, "does not take these options"),
    ],
)
def test_a_mistake_is_named(load, override, message):
    with pytest.raises(RecipeError, match=message):
        load(**override)


def test_an_argument_that_nothing_takes_is_named_before_anything_is_built(tmp_path):
    (tmp_path / "a.yaml").write_text(YAML.replace("llm: !name:builtins.dict", "llm: !name:shutil.move"))
    with pytest.raises(RecipeError, match="llm: shutil.move takes no 'dtype'"):
        load_recipe(tmp_path / "a.yaml", {"trust_config": True}).check_constructors()


def test_the_resolved_text_loads_to_the_same_recipe(load, tmp_path):
    recipe = load(connector__stride="4", rate="0.25", optimizer__betas="[0.9, 0.95]", system_prompt="null")
    (tmp_path / "b.yaml").write_text(recipe.source.text)
    again = load_recipe(tmp_path / "b.yaml")
    assert again == recipe
    assert "!ref" not in recipe.source.text


def test_a_restart_is_of_the_command_and_not_kept(load):
    recipe = load(restart="true")
    assert recipe.restart
    assert "restart" not in recipe.source.text
