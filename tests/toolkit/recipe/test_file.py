"""A YAML is checked against the schema, and overrides get its types."""

import pytest

from auralign.recipe import CHANGES, KEYS, SAME, RecipeError, load_recipe, parse_arguments
from recipe import NUMBERS

YAML = (
    """\
seed: 1
speech: synthetic
data_folder: !ref data/<speech>
output_folder: exp
text_folder: exp
score_folder: exp
method: !apply:auralign.plugins.load_method
    name: sift
llm: !name:builtins.dict
encoder: !name:builtins.dict
connector: !name:builtins.dict
"""
    + NUMBERS
)


def load(tmp_path, text=YAML, **overrides):
    (tmp_path / "a.yaml").write_text(text)
    return load_recipe(tmp_path / "a.yaml", overrides)


def test_references_are_resolved_after_overrides(tmp_path):
    assert load(tmp_path).data_folder == "data/synthetic"
    assert load(tmp_path, speech="recorded").data_folder == "data/recorded"


def test_override_in_scientific_notation_is_a_number(tmp_path):
    assert load(tmp_path, lr="3e-4").lr == 0.0003


def test_number_that_yaml_reads_as_text_is_a_number(tmp_path):
    assert load(tmp_path, YAML.replace("1.0e-3", "3e-4")).lr == 0.0003


def test_optional_key_gets_its_default_and_takes_an_override(tmp_path):
    assert load(tmp_path).weight_decay == 0.0
    assert load(tmp_path, weight_decay="0.1").weight_decay == 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("lr:", "lrr:"), "unknown key 'lrr'; did you mean 'lr'"),
        (("num_steps: 10\n", ""), "lacks 'num_steps'"),
        (("num_steps: 10", "num_steps: ten"), "num_steps: 'ten' is str; expected int"),
        (("num_steps: 10", "num_steps: 1.5"), "num_steps: 1.5 is float; expected int"),
        (("lr: 1.0e-3", "lr: fast"), "lr: 'fast' is no number"),
        (("llm: !name:builtins.dict", "llm: qwen"), "llm: 'qwen' is str; expected a !name: constructor"),
        (("name: sift", "name: siftt"), "no alignment method 'siftt'. Did you mean 'sift'"),
        (("num_steps: 10", "num_steps: !PLACEHOLDER"), "num_steps"),
        (("num_steps: 10", "num_steps: [10"), "a.yaml"),
    ],
)
def test_mistake_in_the_file_is_named(tmp_path, change, message):
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, YAML.replace(*change))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"lrr": "1"}, "no key 'lrr' to override; did you mean 'lr'"),
        ({"num_steps": "many"}, "--num_steps many: expected int"),
        (
            {"llm": "qwen"},
            "'llm' cannot be given on the command line as 'qwen'; edit the YAML, or .* --llm.NAME VALUE",
        ),
        ({"frozen": "connector"}, r"as 'connector'; give a list: --frozen '\[connector\]'"),
    ],
)
def test_mistake_in_an_override_is_named(tmp_path, override, message):
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, **override)


def test_arguments_are_split_into_paths_and_overrides():
    assert parse_arguments(["a.yaml", "--lr", "3e-4", "--num-steps=5"]) == (
        ["a.yaml"],
        {"lr": "3e-4", "num_steps": "5"},
    )


def test_option_without_a_value_is_named():
    with pytest.raises(RecipeError, match="--lr needs a value"):
        parse_arguments(["a.yaml", "--lr", "--seed", "1"])


def test_absent_yaml_is_named(tmp_path):
    with pytest.raises(RecipeError, match="no YAML at"):
        load_recipe(tmp_path / "a.yaml")


def test_every_key_says_what_it_means():
    assert all(key.meaning for key in KEYS.values())


def test_every_key_says_what_a_change_of_it_does_to_a_training():
    assert {key.change for key in KEYS.values()} == set(CHANGES)


def test_training_depends_on_the_keys_whose_change_it_notices(tmp_path):
    keys = set(load(tmp_path).settings("train"))
    assert keys == {name for name, key in KEYS.items() if key.change != SAME and not key.is_new}
    assert {"lr", "device", "num_steps", "precision", "feature_cache"} <= keys
    assert not {"num_shown", "restart", "decode_num_beams", "output_folder", "temperature"} & keys


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["--restart"], {"restart": "true"}),
        (["--restart", "false"], {"restart": "false"}),
        (["--restart", "--lr", "1"], {"restart": "true", "lr": "1"}),
        (["--restart=true"], {"restart": "true"}),
    ],
)
def test_a_key_that_is_true_or_false_may_stand_alone(words, overrides):
    assert parse_arguments([*words, "a.yaml"]) == (["a.yaml"], overrides)


def test_a_key_that_came_later_changes_a_finished_stage_only_where_it_is_set(tmp_path):
    usual, asked = load(tmp_path), load(tmp_path, batch_invariant="true")
    for stage in ("generate", "decode"):
        assert "batch_invariant" not in usual.settings(stage)
        assert asked.settings(stage) == {**usual.settings(stage), "batch_invariant": True}


@pytest.mark.parametrize(("text", "limits"), [("", (0.01, 0.25)), ("max_rejected: 0.1\n", (0.1, 0.1))])
def test_more_answers_than_data_may_be_rejected_unless_the_yaml_names_a_limit(tmp_path, text, limits):
    recipe = load(tmp_path, YAML + text)
    assert (recipe.max_rejected_data, recipe.max_rejected_answers) == limits
