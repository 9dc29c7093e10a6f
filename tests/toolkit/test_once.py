"""Stages 2 to 4 parse a row, draw, lay out and render once for each target: at a million utterances twice is an hour."""

from collections import Counter

import pytest

from auralign import records
from auralign.data.frames import recipe_frames
from auralign.data.lengths import write_lengths
from auralign.decode.answers import Decoder
from auralign.generate.teacher import write_teacher
from auralign.models.build import build_decoding, build_model
from auralign.recipe import load_recipe
from auralign.records import Question, Records, Utterance
from auralign.render import Renderer
from auralign.train.examples import Examples
from recipe import make_recipe, write_targets

NUM_UTTERANCES = 12  # of the recipe's train split
TOP_K = "method: !apply:auralign.plugins.load_method\n    name: distillation\n    top_k: 4\n"


@pytest.fixture
def calls(monkeypatch):
    """Counts calls by name: `parse <kind>`, `choices`, `layout`, `render`."""
    counts: Counter = Counter()

    def count(owner, name, label):
        real = getattr(owner, name)

        def counted(*arguments, **options):
            counts[label(*arguments)] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(records, "from_line", lambda line, kind: f"parse {kind.__name__}")
    count(Renderer, "render", lambda *arguments: "render")
    counts.of_method = lambda method: [
        count(type(method), hook, lambda *arguments, hook=hook: hook) for hook in ("choices", "layout")
    ]
    return counts


def make(tmp_path, llm_folder, whisper_folder, method, more=""):
    """A recipe's folder, values, model and renderer."""
    folder = make_recipe(tmp_path / "r", llm=llm_folder, encoder=whisper_folder, method=method)
    yaml = folder / "hparams" / f"{method}.yaml"
    if more:
        old = f"method: !apply:auralign.plugins.load_method\n    name: {method}\n"
        yaml.write_text(yaml.read_text().replace(old, more))
    hparams = load_recipe(yaml)
    return folder, hparams, *build_model(hparams)


def write_train_targets(folder, hparams, model, renderer):
    """Stage 2 on the train split; returns its manifest and targets."""
    manifest = Records(folder / "data" / "train.jsonl", Utterance)
    path = folder / "train.jsonl"
    return manifest, write_targets(manifest, path, method=hparams.method, model=model, renderer=renderer)


def test_stage_2_draws_lays_out_and_renders_each_target_once(tmp_path, llm_folder, whisper_folder, calls):
    made = make(tmp_path, llm_folder, whisper_folder, "sit")
    calls.of_method(made[1].method)
    calls.clear()
    _, targets = write_train_targets(*made)
    assert len(targets) == NUM_UTTERANCES
    assert {name: calls[name] for name in ("choices", "layout", "render")} == dict.fromkeys(
        ("choices", "layout", "render"), NUM_UTTERANCES
    )


def test_a_kept_teacher_is_laid_out_and_rendered_once(tmp_path, llm_folder, whisper_folder, calls):
    folder, hparams, model, renderer = make(tmp_path, llm_folder, whisper_folder, "distillation", TOP_K)
    manifest, targets = write_train_targets(folder, hparams, model, renderer)
    calls.of_method(hparams.method)
    calls.clear()
    write_teacher(targets, manifest, method=hparams.method, llm=model.llm, renderer=renderer)
    once = ("parse Target", "parse Utterance", "layout", "render")
    assert calls == dict.fromkeys(once, NUM_UTTERANCES)


@pytest.mark.parametrize("method", ["sit", "distillation"])
def test_stage_3_reads_each_target_once_and_renders_each_view_once(
    tmp_path, llm_folder, whisper_folder, calls, method
):
    folder, hparams, model, renderer = make(tmp_path, llm_folder, whisper_folder, method)
    manifest, targets = write_train_targets(folder, hparams, model, renderer)
    frames = recipe_frames(hparams, model, manifest)
    calls.of_method(hparams.method)
    calls.clear()
    options = {"method": hparams.method, "renderer": renderer, "model": model, "max_rejected": 0.5}
    examples = Examples(targets, manifest, frames=frames, **options)
    assert len(examples) == NUM_UTTERANCES
    once = ("parse Target", "parse Utterance", "layout")
    assert calls == {**dict.fromkeys(once, NUM_UTTERANCES), "render": 2 * NUM_UTTERANCES}
    calls.clear()
    list(examples.packs(range(NUM_UTTERANCES), tokens_per_pack=100))
    num_views = 2 if hparams.method.needs.teacher else 1
    assert calls == {**dict.fromkeys(once, NUM_UTTERANCES), "render": num_views * NUM_UTTERANCES}
    calls.clear()
    list(examples.packs(range(NUM_UTTERANCES), tokens_per_pack=100))
    assert calls == {}  # of a second epoch


def test_stage_3_starts_without_rendering_what_stage_2_counted(
    tmp_path, llm_folder, whisper_folder, calls, monkeypatch
):
    folder, hparams, model, renderer = make(tmp_path, llm_folder, whisper_folder, "distillation")
    manifest, targets = write_train_targets(folder, hparams, model, renderer)
    write_lengths(targets, manifest, method=hparams.method, renderer=renderer)
    monkeypatch.setattr("auralign.data.lengths.NUM_CHECKED", 2)
    calls.clear()
    options = {"method": hparams.method, "renderer": renderer, "model": model, "max_rejected": 0.5}
    assert len(Examples(targets, manifest, frames=None, **options)) == NUM_UTTERANCES
    assert calls == {"parse Target": 3, "parse Utterance": 2, "render": 4}


def test_stage_4_reads_each_utterance_once_and_once_for_each_question(
    tmp_path, llm_folder, whisper_folder, calls
):
    folder, hparams, model, renderer = make(tmp_path, llm_folder, whisper_folder, "sift")
    manifest = Records(folder / "data" / "test.jsonl", Utterance)
    questions = Records(folder / "data" / "test.questions.jsonl", Question)
    decoder = Decoder(
        model,
        renderer,
        manifest,
        recipe_frames(hparams, model, manifest),
        method=hparams.method,
        decoding=build_decoding(hparams),
        batch_size=4,
    )
    calls.clear()
    decoder.write(questions, folder / "a.jsonl", given="speech")
    assert calls["parse Utterance"] == len(manifest) + len(questions)
    assert calls["parse Question"] == calls["render"] == len(questions)
