"""What a YAML may construct: nothing runs, and nothing is imported, before every tag and every object is checked."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auralign import cli
from auralign.constructor import Constructor
from auralign.recipe import RecipeError, load_recipe, parse_arguments
from auralign.recipe.trust import check_object, find_refusal
from recipe import NUMBERS

ROOT = Path(__file__).parents[3]
YAMLS = sorted(path for place in ("recipes", "egs") for path in (ROOT / place).glob("*/hparams/**/*.yaml"))
YAML = (
    """\
seed: 1
data_folder: data
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
# A module beside the recipe; whoever imports it leaves a canary.
MINE = """\
import os
import pathlib

pathlib.Path("canary").touch()
from auralign.method import Needs


def make(**options):
    return options


class Part:
    pass
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A function that loads the YAML with another line in it, in a folder with a canary."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_to_trust.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine_to_trust", raising=False)

    def load(line="", *, connector="!name:builtins.dict", **overrides):
        text = YAML.replace("connector: !name:builtins.dict", f"connector: {connector}")
        Path("a.yaml").write_text(f"{text}{line}\n")
        return load_recipe("a.yaml", overrides)

    return load


TOUCH = "['touch canary']"
REFUSED = {
    "function of the standard library": f"!name:os.system {TOUCH}",
    "its second name": f"!name:posix.system {TOUCH}",
    "called while reading": f"!apply:os.system {TOUCH}",
    "class of the standard library": f"!new:subprocess.Popen {TOUCH}",
    "builtin": '!apply:builtins.eval [\'open("canary", "w")\']',
    "exec": '!apply:builtins.exec [\'open("canary", "w")\']',
    "while references are resolved": f"!applyref:os.system {TOUCH}",
    "file of another place": "!include:/etc/hostname",
    "Python's tag": f"!!python/object/apply:os.system {TOUCH}",
    "Python's class": f"!!python/object/new:subprocess.Popen {TOUCH}",
    "verbatim tag": f"!<!apply:os.system> {TOUCH}",
    "unknown tag": "!run os.system",
    "module": "!module:os",
    "module behind torch": f"!name:torch.os.system {TOUCH}",
    "module behind torch.nn": f"!name:torch.nn.modules.module.warnings.warn {TOUCH}",
    "hub of torch": "!name:torch.hub.load",
    "pickle of torch": "!name:torch.load",
    "pipeline": "!name:transformers.pipeline",
    "walk from a class": "!name:torch.nn.Module.__subclasses__",
    "method of a class": "!name:transformers.AutoModel.from_pretrained",
    "module behind auralign": f"!apply:auralign.files.os.system {TOUCH}",
    "class that auralign imports": "!name:auralign.run_folder.Path",
    "function of auralign": "!apply:auralign.plugins.load_class",
    "module of auralign": "!name:auralign.files",
    "library's class while reading": "!new:torch.nn.Linear [1, 2]",
    "module of nobody": f"!apply:some_package_of_nobody.run {TOUCH}",
    "script": "!name:__main__.main",
    "within a list": f"!name:builtins.dict [[!apply:os.system {TOUCH}]]",
    "within an argument": f"!name:builtins.dict {{a: {{b: !apply:os.system {TOUCH}}}}}",
    "as a key": f"!name:builtins.dict {{? !apply:os.system {TOUCH} : 1}}",
    "attribute by reference": "!ref <method.__class__>",
}


@pytest.mark.parametrize("tag", REFUSED.values(), ids=REFUSED)
def test_what_a_yaml_may_not_construct_is_refused_and_does_not_run(load, tag):
    with pytest.raises(RecipeError, match=r"a\.yaml:?\d*: ") as caught:
        load(connector=tag)
    assert "\n" not in str(caught.value)
    assert not Path("canary").exists()


def test_the_refusal_names_place_key_value_and_repair(load):
    with pytest.raises(RecipeError) as caught:
        load(connector="!name:torch.os.system")
    message = str(caught.value)
    assert message.startswith("a.yaml:10: connector: !name:torch.os.system is refused: ")
    assert message.endswith("remove it, or give --trust-config if you have read the YAML and trust it")


@pytest.mark.parametrize("name", ["posix.system", "ntpath.os.system", "torch.os.system"])
def test_a_tag_of_another_handle_is_the_same_tag(load, name):
    text = YAML.replace("connector: !name:builtins.dict", f"connector: !e!{name} ['touch canary']")
    Path("b.yaml").write_text(f"%TAG !e! !apply:\n---\n{text}")
    with pytest.raises(RecipeError, match=f"connector: !apply:{name} is refused"):
        load_recipe("b.yaml")
    assert not Path("canary").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lrr: !new:mine_to_trust.Part", "unknown key 'lrr'; did you mean 'lr'"),
        ('"lrr": !new:mine_to_trust.Part', "unknown key 'lrr'"),
        ("? lrr\n: !new:mine_to_trust.Part", "unknown key 'lrr'"),
        ("? !new:mine_to_trust.Part\n: 1", "a key must be a word"),
        ("lr: !new:mine_to_trust.Part", "the key 'lr' is given twice"),
    ],
)
def test_an_unknown_key_is_refused_before_anything_runs(load, line, message):
    with pytest.raises(RecipeError, match=message):
        load(line)
    assert not Path("canary").exists()


def test_a_file_beside_the_recipe_is_the_users_own_code(load):
    assert load(connector="!name:mine_to_trust.Part").connector() is not None
    assert load(connector="!name:mine_to_trust.make {a: 1}").connector(b=2) == {"a": 1, "b": 2}
    assert (
        load(connector="!name:builtins.dict {part: !new:mine_to_trust.Part }").connector()["part"] is not None
    )


@pytest.mark.parametrize("name", ["mine_to_trust.os.system", "mine_to_trust.pathlib.Path"])
def test_a_module_behind_a_file_beside_the_recipe_is_not(load, name):
    recipe = load(connector=f"!name:{name}")
    with pytest.raises(ValueError, match="a module that it imports"):
        recipe.connector.func  # noqa: B018 (the first use imports)


def test_a_module_of_another_folder_is_not_the_users_own(load, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "elsewhere_to_trust.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    with pytest.raises(RecipeError, match="'elsewhere_to_trust' is not a module of auralign, torch.nn"):
        load(connector="!new:elsewhere_to_trust.Part")
    assert not Path("canary").exists()


def test_a_package_that_announces_parts_may_be_named(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "their_parts-1.0.dist-info").mkdir(parents=True)
    (site / "their_parts.py").write_text("class Ears:\n    pass\n")
    (site / "their_parts-1.0.dist-info" / "METADATA").write_text("Name: their_parts\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(site))
    assert find_refusal("name", "their_parts.Ears", ()) is not None
    announced = site / "their_parts-1.0.dist-info" / "entry_points.txt"
    announced.write_text("[auralign.parts]\nears = their_parts\n")
    importlib.invalidate_caches()
    assert find_refusal("name", "their_parts.Ears", ()) is None


def test_trust_config_lets_a_yaml_construct_anything(load):
    recipe = load(connector="!name:collections.Counter", trust_config="true")
    assert recipe.connector(a=2)["a"] == 2
    assert recipe.source.trusted
    assert "trust_config" not in recipe.source.text
    assert recipe.source.overrides == {}


def test_trust_is_a_flag_of_the_command_line_and_no_key(load):
    assert parse_arguments(["a.yaml", "--trust-config", "--lr", "1"])[1] == {
        "trust_config": "true",
        "lr": "1",
    }
    with pytest.raises(RecipeError, match="unknown key 'trust_config'"):
        load("trust_config: true", connector="!name:os.system")


@pytest.mark.parametrize(
    ("key", "name", "reason"),
    [
        ("connector", "torch.nn.Linear", None),
        ("heads.pitch", "torch.nn.Linear", None),
        ("branches.voice.connector", "auralign.models.connectors.StackAndProject", None),
        ("optimizer", "torch.optim.SGD", None),
        ("lr_scheduler", "torch.optim.lr_scheduler.StepLR", None),
        ("lr_scheduler", "transformers.get_linear_schedule_with_warmup", None),
        ("connector.activation", "torch.nn.GELU", None),
        ("optimizer", "torch.nn.Linear", "it is not a subclass of torch.optim.Optimizer"),
        ("connector", "torch.optim.SGD", "it is not a subclass of torch.nn.Module"),
        ("llm", "transformers.AutoModel", "it is not a subclass of torch.nn.Module"),
        ("connector", "torch.nn.modules.module.OrderedDict", "it is of the module collections"),
        ("connector", "torch.nn.functional.Callable", "it is of the module"),
    ],
)
def test_the_object_must_be_what_its_key_takes(key, name, reason):
    from auralign.constructor import locate

    assert find_refusal("name", name, ()) is None
    constructor = Constructor(name)
    if reason is None:
        check_object(locate(name), constructor=constructor, key=key, folders=())
        return
    with pytest.raises(RecipeError, match=f"{key}: !name:{name} is refused: {reason}"):
        check_object(locate(name), constructor=constructor, key=key, folders=())


def test_an_object_is_checked_when_it_is_used(load):
    recipe = load(connector="!name:torch.optim.SGD")
    with pytest.raises(RecipeError, match="connector: !name:torch.optim.SGD is refused"):
        recipe.connector.func  # noqa: B018
    with pytest.raises(RecipeError, match="not a subclass of torch.nn.Module"):
        recipe.connector.replace(lr=1)()


# Nine lists, each of which has the one before it nine times.
LAUGHS = "".join(f"    x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("template_options:\n    x0: &x0 [ha]\n" + LAUGHS, "more than 10000 values"),
        ("template_options: " + "{a: " * 30 + "1" + "}" * 30, "nested more than 20 deep"),
        ("template_options: " + "[" * 5000, "nested more than 20 deep"),
        ("template_options: &a {b: *a}", r"\*a contains itself"),
        ("system_prompt: !ref <system_prompt> again", "leads back to itself"),
        ("system_prompt: !ref <init_from>\ninit_from: !ref <system_prompt>", "leads back to itself"),
        ("system_prompt: !ref <seed> ** 9 ** 9 ** 9", "is not computed"),
        ("init_from: \"'ha'\"\nsystem_prompt: !ref <init_from> * 999999999", "is not computed"),
        (
            "x0: ha\n" + "\n".join(f"x{n}: !ref <x{n - 1}><x{n - 1}>" for n in range(1, 40)) + "\nsystem_prompt: !ref <x39>",
            "make more than 100000 characters",
        ),
    ],
)  # fmt: skip
def test_a_yaml_that_would_take_all_memory_is_refused_at_once(load, lines, message):
    with pytest.raises(RecipeError, match=rf"a\.yaml:\d+: .*{message}"):
        load(lines)


def test_arithmetic_of_numbers_is_computed(load):
    assert load("num_shown: !ref <seed> * 3 + 1").num_shown == 4


def test_reading_a_yaml_imports_no_library(tmp_path):
    (tmp_path / "a.yaml").write_text(
        YAML.replace("connector: !name:builtins.dict", "connector: !name:torch.nn.Linear")
    )
    code = "import sys; from auralign.recipe import load_recipe; load_recipe('a.yaml'); sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, check=False).returncode
        == 0
    )


@pytest.mark.parametrize("path", YAMLS, ids=[str(path.relative_to(ROOT)) for path in YAMLS])
def test_every_yaml_of_the_repository_passes(path, monkeypatch, capsys):
    monkeypatch.chdir(path.parents[1])
    assert cli.run(["check-config", str(path.relative_to(path.parents[1]))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(": method: !apply:auralign.plugins.load_method: allowed: " in line for line in lines)


def test_check_config_lists_what_is_refused_and_constructs_nothing(load, capsys):
    load()
    text = (
        Path("a.yaml")
        .read_text()
        .replace("connector: !name:builtins.dict", "connector: !new:mine_to_trust.Part")
    )
    Path("a.yaml").write_text(
        text.replace("encoder: !name:builtins.dict", "encoder: !apply:os.system ['touch canary']")
    )
    assert cli.run(["check-config", "a.yaml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith(
        "a.yaml:9: encoder: !apply:os.system: refused: 'os' is not a module of auralign"
    )
    assert (
        lines[3]
        == "a.yaml:10: connector: !new:mine_to_trust.Part: allowed: a file beside the recipe, which is your own code"
    )
    assert lines[-1].startswith("a.yaml: 1 refused; ")
    assert not Path("canary").exists()


def test_check_config_names_what_lets_code_of_a_model_run(load, capsys):
    load()
    text = (
        Path("a.yaml")
        .read_text()
        .replace("llm: !name:builtins.dict", "llm: !name:builtins.dict {trust_remote_code: True}")
    )
    Path("a.yaml").write_text(f"{text}trust_remote_code: true\n")
    assert cli.run(["check-config", "a.yaml"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"a.yaml:{line}: trust_remote_code: Python code in the LLM's folder would run" for line in (8, 21)
    ]


@pytest.mark.parametrize("text", ["(see [1)", "(" + "[" * 5000 + ")"])
def test_brackets_that_are_no_tuple_are_text(load, text):
    assert load(f"system_prompt: {text}").system_prompt == text


NOWHERE = f"!name:auralign.files.os.system {TOUCH}"


@pytest.mark.parametrize("form", ["{{a: [1, {}]}}", "{{? {} : 1}}", "{{a: [{{b: {}}}]}}"])
def test_a_name_that_is_not_there_is_refused_wherever_it_is(load, form):
    with pytest.raises(
        RecipeError, match="template_options.*: (there is no 'os' in auralign.files|.* the key of a mapping)"
    ):
        load(f"template_options: {form.format(NOWHERE)}")
