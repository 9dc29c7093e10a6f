"""Loading a model folder: moved parts are found, others refused, and what the folder says is not trusted."""

from functools import wraps

import pytest

import auralign


def audio(recipe, number=0):
    return recipe / "data" / f"test-{number}.flac"


@pytest.mark.parametrize(
    "call",
    [
        "os.system",
        "auralign.files.write_json",
        "auralign.models.llm.load.Path",
        "auralign.models.llm.no_such",
        "auralign.models.no_such.load",
        "auralign.models.build.load_llm",
    ],
)
def test_nothing_but_auraligns_own_parts_is_called(recipe, changed, call):
    folder = changed(recipe, lambda config: config["connector"].update(call=call))
    with pytest.raises(ValueError, match=r"which is not among auralign\.models"):
        auralign.load(folder)


def test_an_llm_that_moved_is_asked_for(recipe, changed):
    folder = changed(recipe, lambda config: config["llm"]["with"].update(path="/gone"))
    with pytest.raises(FileNotFoundError, match=r"auralign.json: .* llm .*/gone, .*load\(\.\.\., llm=PATH\)"):
        auralign.load(folder)


def test_parts_that_moved_are_taken_from_where_they_stand_now(recipe, changed, make_llm, whisper_folder):
    folder = changed(recipe, lambda config: config["llm"]["with"].update(path="/gone"))
    moved = auralign.load(folder, llm=make_llm("llama"), encoder=whisper_folder)
    assert moved.answer(audio(recipe), "sort") == auralign.load(recipe / "model").answer(
        audio(recipe), "sort"
    )


def test_another_llm_is_refused(recipe, make_llm):
    with pytest.raises(ValueError, match="was trained with LLM"):
        auralign.load(recipe / "model", llm=make_llm("qwen2"))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="auralign export"):
        auralign.load(tmp_path)


def test_lora_of_a_model_folder_names_no_module_to_import(adapted, changed):
    folder = changed(adapted, lambda config: config["lora"].update(megatron_core="os"))
    with pytest.raises(ValueError, match="lora: auralign does not take megatron_core"):
        auralign.load(folder)


def test_a_folder_cannot_allow_code_to_run(recipe, changed):
    folder = changed(recipe, lambda config: config["llm"]["with"].update(trust_remote_code=True))
    with pytest.MonkeyPatch.context() as patch:
        given = []
        real = auralign.models.llm.load_llm
        patch.setattr(
            "auralign.models.llm.load_llm",
            wraps(real)(lambda *a, **options: given.append(options) or real(*a, **options)),
        )
        auralign.load(folder)
    assert [options.get("trust_remote_code", False) for options in given] == [False]


def test_an_encoder_that_is_not_auraligns_own_is_given_itself(recipe, changed):
    folder = changed(recipe, lambda config: config["encoder"].update(call="my_package.load"))
    with pytest.raises(ValueError, match=r"names my_package.load, .*load\(\.\.\., encoder=\.\.\.\)"):
        auralign.load(folder)
    mine = auralign.load(recipe / "model").model.encoder
    assert auralign.load(folder, encoder=mine).answer(audio(recipe), "sort")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(llm=[]),
        lambda config: config["connector"].pop("call"),
        lambda config: config["connector"].update(call="auralign.models.folder.DTYPES"),
        lambda config: config["decoding"].update(temperature=1.0),
        lambda config: config["encoder"].update({"with": {"path": "x", "paddings": 1}}),
    ],
    ids=[
        "a part is a list",
        "no constructor",
        "a constructor that is none",
        "unknown decoding",
        "unknown argument",
    ],
)
def test_a_model_folder_that_says_something_else_is_named(recipe, changed, change):
    with pytest.raises((ValueError, FileNotFoundError), match="auralign.json: "):
        auralign.load(changed(recipe, change))


def as_of_62a17e5(config):
    """Write an account as that commit did: names of that time, absolute paths, and none of the fields that came later."""
    del config["prompts"], config["history"]
    for part, call in (
        ("llm", "auralign.models.llm.load_llm"),
        ("encoder", "auralign.models.whisper.load_whisper"),
        ("connector", "auralign.models.connectors.StackAndProject"),
    ):
        config[part]["call"] = call
        config[part].pop("places", None)


def test_a_model_folder_of_an_earlier_auralign_answers_the_same(
    recipe, model, changed, make_llm, whisper_folder
):
    def change(config):
        as_of_62a17e5(config)
        config["llm"]["with"]["path"] = str(make_llm("llama"))
        config["encoder"]["with"]["path"] = str(whisper_folder)

    earlier = auralign.load(changed(recipe, change))
    assert earlier.answer(audio(recipe), "sort") == model.answer(audio(recipe), "sort")
