"""Loading a model folder: moved parts are found, others refused, and what the folder says is not trusted."""

import json
import shutil
from functools import wraps

import pytest
import torch
from safetensors.torch import load_file, save_file

import auralign
from auralign.models.builds import RECORD
from auralign.publish.model_folder import CARD, CONFIG, HASHES, read_config
from auralign.train.checkpoint import WEIGHTS


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


def test_an_llm_whose_card_changed_is_the_same(recipe, make_llm, tmp_path, capsys):
    copy = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    (copy / "README.md").write_text("another card")
    assert auralign.load(recipe / "model", llm=copy).model.other_builds == {}
    assert capsys.readouterr().err == ""


def test_another_build_of_the_llm_is_told_with_its_agreement(recipe, make_llm, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    tensors = load_file(copy / "model.safetensors")
    rounded = {name: tensor.bfloat16().to(tensor.dtype) for name, tensor in tensors.items()}
    save_file(rounded, copy / "model.safetensors", metadata={"format": "pt"})
    found = auralign.load(recipe / "model", llm=copy).model.other_builds["llm"]
    difference, asked = capsys.readouterr().err.splitlines()
    assert (
        "the LLM is another build of the one it was trained with: embeddings differ by up to 0." in difference
    )
    assert asked == f"{recipe / 'model'}: {found['agreement']}"
    assert found["told"].endswith(found["agreement"])


def test_a_template_that_differs_in_several_turns_only_is_refused(recipe, changed, make_llm, tmp_path):
    copy = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    template = (copy / "chat_template.jinja").read_text()
    with_more = template.replace("<|im_start|>{{", "{% if loop.index0 == 4 %}~{% endif %}<|im_start|>{{", 1)
    (copy / "chat_template.jinja").write_text(with_more)
    with pytest.raises(
        ValueError, match=r"several turns otherwise \(between the second answer and the third"
    ):
        auralign.load(recipe / "model", llm=copy)
    earlier = changed(recipe, lambda config: config["prompts"].pop("conversation"))
    assert auralign.load(earlier, llm=copy)  # an earlier auralign did not record it


def test_a_template_that_differs_in_one_turn_is_refused_with_the_place(recipe, make_llm, tmp_path):
    copy = shutil.copytree(make_llm("llama"), tmp_path / "llm")
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").write_text(
        template.replace("<|im_start|>assistant\n", "<|im_start|>assistant")
    )
    with pytest.raises(ValueError, match="prompt frame .*between them and the answer .* was .*, is "):
        auralign.load(recipe / "model", llm=copy)


def test_the_card_and_the_configuration_name_the_bases(recipe):
    config = json.loads((recipe / "model" / CONFIG).read_text())
    assert {"name", "sha256", "tensors"} <= config["llm"]["source"].keys() & config["encoder"][
        "source"
    ].keys()
    assert len(config["questions"]) == 20


def files_of(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != CARD)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("name", [CONFIG, RECORD, WEIGHTS])
def test_one_flipped_bit_of_a_model_folder_is_noticed(recipe, tmp_path, name, place):
    path = shutil.copytree(recipe / "model", tmp_path / "model") / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=name):
        auralign.load(tmp_path / "model")


def test_every_file_of_a_model_folder_but_the_card_has_its_hash(recipe):
    assert files_of(recipe / "model") == sorted(read_config(recipe / "model")[HASHES])


def test_a_model_folder_that_lost_a_file_is_named(recipe, tmp_path):
    folder = shutil.copytree(recipe / "model", tmp_path / "model")
    (folder / RECORD).unlink()
    with pytest.raises(ValueError, match=f"{RECORD}: is not there"):
        auralign.load(folder)


@pytest.mark.parametrize("hashes", [None, [], {}, {CONFIG: "0"}, {WEIGHTS: "0"}])
def test_hashes_that_do_not_cover_weights_and_configuration_are_refused(recipe, changed, hashes):
    with pytest.raises(ValueError, match=f"{CONFIG}: its sha256 lack .*; export"):
        auralign.load(changed(recipe, lambda config: config.update({HASHES: hashes})))


def test_a_key_that_nobody_knows_is_refused(recipe, changed):
    with pytest.raises(ValueError, match="does not know dropout"):
        auralign.load(changed(recipe, lambda config: config.update(dropout=0.5)))


def test_a_device_may_be_an_object_of_torch(recipe):
    assert auralign.load(recipe / "model", device=torch.device("cpu")).answer(audio(recipe), "sort")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"llm": 5}, "llm is int 5; give a path, or an id of the hub"),
        (
            {"encoder": torch.nn.Identity()},
            "encoder is Identity .*; give a path, an id of the hub, or a SpeechEncoder",
        ),
        (
            {"connector": lambda width: None},
            r"connector=...: called with the widths of encoder and LLM, \(\d+, \d+\), it fails",
        ),
        (
            {"connector": torch.nn.Linear},
            r"not the weights of connector=..., which load\(\) was given .*Missing key",
        ),
    ],
)
def test_what_the_caller_gives_is_not_blamed_on_the_folder(recipe, given, message):
    with pytest.raises(ValueError, match=message):
        auralign.load(recipe / "model", **given)


def test_a_folder_that_is_none_is_named():
    with pytest.raises(ValueError, match="the model folder is NoneType None; give a path"):
        auralign.load(None)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("https://huggingface.co/me/digits", "is an address; give the id of the hub, org/name"),
        (
            "absent",
            "there is no folder absent; give a folder that `auralign export` wrote, or its id on the hub",
        ),
        ("me/other", "the folder me hides the hub's: say me/other@main if that is meant"),
        (
            "native",
            r"which is a model of transformers, as `auralign export --as` writes it; load it with the class",
        ),
    ],
)
def test_why_a_place_is_no_model_folder(tmp_path, monkeypatch, folder, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me").mkdir()
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=message):
        auralign.load(folder)


def test_a_picture_that_was_removed_is_not_missed(recipe, tmp_path):
    shutil.copytree(recipe / "model", tmp_path / "model")
    config = json.loads((tmp_path / "model" / CONFIG).read_text())
    config[HASHES]["ledger.png"] = "0" * 64
    (tmp_path / "model" / CONFIG).write_text(json.dumps(config))
    assert auralign.load(tmp_path / "model").answer(audio(recipe), "sort")
