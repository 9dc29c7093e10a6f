"""The traps that reading the papers' code exposed, each with its regression test, in the order in which they were noted."""

from dataclasses import replace
from random import Random

import pytest
import torch

from auralign.data.rejected import TooManyRejectedError, rejected_path
from auralign.generate.engine import TransformersEngine
from auralign.generate.targets import TargetWriter
from auralign.layout import Response, Speech, Text, View
from auralign.models.build import build_model, check_parts, describe_parts
from auralign.models.connectors import StackAndProject, WindowedQFormer
from auralign.models.llm import Answer, load_llm
from auralign.models.speech_llm import SpeechLLM
from auralign.plugins import find_methods, load_class, load_method
from auralign.recipe import load_recipe
from auralign.records import Records, Utterance, write_records
from auralign.records import Target as TargetRecord
from auralign.render import Renderer
from auralign.score.judge import Judge
from auralign.stage import content
from auralign.testing.checks import instances
from auralign.train.examples import Examples
from hearing import hear
from recipe import make_recipe

SHIPPED = [entry for entry in find_methods() if entry.package == "auralign"]
VIEW = View((Text("repeat "), Speech("three five"), Response("i heard three five")))


@pytest.fixture
def model(llm):
    torch.manual_seed(0)
    return SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)


@pytest.fixture
def recipe(tmp_path, llm_folder, whisper_folder):
    return make_recipe(tmp_path / "r", llm=llm_folder, encoder=whisper_folder)


def write_targets(folder, llm, renderer, *, response=None):
    """Stage 2 on the training set; with `response` the LLM says that, and is cut off."""
    engine = TransformersEngine(llm, renderer, batch_size=4, scheduler="static")
    if response is not None:
        ids = renderer.encode(response)
        llm.generate = lambda prompts, **options: [Answer(ids, "length")] * len(prompts)
    path = folder / "targets.jsonl"
    writer = TargetWriter(
        load_method("sift", refusals=None),
        renderer,
        engine,
        llm_name=llm.name,
        llm_revision=llm.revision,
        decoding={"max_new_tokens": 8, "temperature": 0.0},
        seed=1,
        max_rejected=1.0,
    )
    summary = writer.write(Records(folder / "data" / "train.jsonl", Utterance), path)
    return summary, Records(path, TargetRecord)


def test_trap_1_off_by_one_kl_masks(model, renderer):
    """The divergence covers the positions that predict: from the one before the first response token to that of the end."""
    rendered = renderer.render(VIEW)
    heard = torch.randn(2, model.llm.width, requires_grad=True)
    student = model(model.pack([rendered], [heard]))
    states = student.hidden[-1]
    states.retain_grad()
    student.divergence(model.read(model.pack_text([renderer.render(VIEW.read())])), "target").sum.backward()
    touched = states.grad.abs().sum(-1).nonzero().flatten().tolist()
    num_target, num_positions = len(rendered.pieces[-1].ids), rendered.num_ids + 2
    assert touched == list(range(num_positions - num_target - 1, num_positions - 1))


def test_trap_2_cut_off_generations_taught_as_complete(recipe, llm_folder):
    llm = load_llm(llm_folder)
    renderer = Renderer(llm.tokenizer)
    summary, targets = write_targets(recipe, llm, renderer, response="three five nine")
    assert "12 cut off (kept without an end of turn)" in summary
    hparams = load_recipe(recipe / "hparams" / "sift.yaml")
    model, _ = build_model(hparams)
    manifest = Records(recipe / "data" / "train.jsonl", Utterance)
    examples = Examples(targets, manifest, method=hparams.method, renderer=renderer, model=model, frames=None)
    first = examples.target(0)
    views = examples._render(examples._lay_out(first, manifest[first.utt_id]))
    assert views["student"].pieces[-1].ids == renderer.encode("three five nine")
    assert views["student"].pieces[-1].num_end == 0


def test_trap_3_chat_template_drift(recipe, llm_folder):
    llm = load_llm(llm_folder)
    _, targets = write_targets(recipe, llm, Renderer(llm.tokenizer))
    hparams = load_recipe(recipe / "hparams" / "sift.yaml")
    model, _ = build_model(hparams)
    drifted = Renderer(llm.tokenizer, system="You are helpful.")
    manifest = Records(recipe / "data" / "train.jsonl", Utterance)
    with pytest.raises(ValueError, match="was made with prompt frame"):
        Examples(targets, manifest, method=hparams.method, renderer=drifted, model=model, frames=None)


def test_trap_4_batch_dependent_windows_and_position_gaps(model, renderer):
    torch.manual_seed(0)
    windows = WindowedQFormer(6, 5, frames_per_second=50.0, width=8, num_heads=2).eval()
    frames, lengths = torch.randn(2, 300, 6), torch.tensor([300, 40])
    batched, counts, _ = windows(frames, lengths)
    alone, alone_count, _ = windows(frames[1:, :40], lengths[1:])
    assert counts[1] == alone_count[0] == -(-40 // 17)  # of a third of a second, whatever the longest lasts
    torch.testing.assert_close(batched[1, : counts[1]], alone[0, : counts[1]], atol=1e-5, rtol=1e-5)
    pack = model.pack([renderer.render(VIEW)] * 2, hear(model, frames[:, :40], torch.tensor([40, 7])))
    positions = pack.positions.split(list(pack.sizes))
    assert [part.tolist() for part in positions] == [list(range(size)) for size in pack.sizes]


@pytest.mark.parametrize("scope", ["all", "speech"])
def test_trap_5_teacher_view_contaminated_by_lora(llm, llm_folder, renderer, scope):
    import peft

    ours = load_llm(llm_folder)
    ours.add_lora(peft.LoraConfig(r=2, target_modules="all-linear"), scope=scope)
    for parameter in ours.lora.parameters():
        torch.nn.init.normal_(parameter.data)
    model = SpeechLLM(torch.nn.Identity(), StackAndProject(6, ours.width), ours)
    views = [renderer.render(VIEW.read())]
    pack = model.pack(views, [None])
    plain = llm.hidden_states(pack.embeddings.detach(), pack.positions)
    assert torch.equal(model.read(model.pack_text(views)).hidden[-1], plain)
    assert model(pack).hidden[-1].equal(plain) == (scope == "speech")  # the student reads no speech here


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: entry.name)
def test_trap_6_metadata_leaks_into_the_student(entry):
    """Attributes reach the teacher alone, in training and in use; of the transcript, what a method declares."""
    secret = Utterance(
        id="s",
        audio="s.flac",
        seconds=1.0,
        text="zyzzyva quokka",
        speaker="rumpelstiltskin",
        attributes={"emotion": "happy", "gender": "flabbergasted", "age": 131},
        words=(("zyzzyva", 0.0, 0.5), ("quokka", 0.5, 1.0)),
    )
    for method in instances(load_class(entry)):
        for choice in method.choices(secret, Random(0)):
            student = method.layout(secret, choice, Response("x")).student
            shown = [*student.segments, *method.slot(secret)]
            text = " ".join(segment.text for segment in shown if isinstance(segment, Text)) + str(
                student.system
            )
            assert not {"happy", "flabbergasted", "131", "rumpelstiltskin"} & set(
                text.replace(":", " ").split()
            )
            told = "check_student_is_not_told" in method.expected_failures
            assert told or not {"zyzzyva", "quokka"} & set(text.split())


def test_trap_7_text_normalisation_decides_the_ceiling():
    """BLSP's teacher reads what can be heard, and answers are judged alike whatever their case and punctuation."""
    utterance = Utterance(id="u", audio="u.flac", seconds=1.0, text="It's THREE: five!")
    method = load_method("blsp", instruction="{speech}")
    (choice,) = method.choices(utterance, Random(0))
    layout = method.layout(utterance, choice, Response("x"))
    assert layout.teacher.segments[0].text == layout.student.segments[0].text == "it is 35"
    from auralign.records import Question

    question = Question(
        key="q", utt_id="u", group="g", task="t", instruction=None, reference="It's THREE: five!"
    )
    assert Judge().is_right("its three, five", replace(question, reference="Its three five."))
    assert not Judge().is_right("three five", question)


def test_trap_8_truncation_and_pad_lengths(recipe, llm_folder):
    """The paper's projector discards the frames beyond a multiple of its stride: counted, and refused where nothing is left."""
    assert StackAndProject(6, 5, stride=4).num_embeddings(11) == 2
    assert StackAndProject(6, 5, stride=4, keep_remainder=True).num_embeddings(11) == 3
    llm = load_llm(llm_folder)
    renderer = Renderer(llm.tokenizer)
    _, targets = write_targets(recipe, llm, renderer)
    yaml = recipe / "hparams" / "sift.yaml"
    yaml.write_text(
        yaml.read_text()
        .replace("keep_remainder: True", "keep_remainder: False")
        .replace("stride: 8", "stride: 30")
    )
    hparams = load_recipe(yaml)
    model, _ = build_model(hparams)
    manifest = Records(recipe / "data" / "train.jsonl", Utterance)
    examples = Examples(
        targets, manifest, method=hparams.method, renderer=renderer, model=model, frames=None, max_rejected=1
    )
    short = {
        utterance.id
        for utterance in manifest
        if model.encoder.num_frames(round(16_000 * utterance.seconds)) < 30
    }
    assert {item["id"] for item in examples.rejected.items} == short
    assert {item["reason"] for item in examples.rejected.items} == {"too short for the connector"}


def test_trap_9_llm_swap(recipe, make_llm):
    """A connector belongs to one revision of one LLM."""
    trained = describe_parts(load_recipe(recipe / "hparams" / "sift.yaml"), *built(recipe))
    yaml = recipe / "hparams" / "sift.yaml"
    yaml.write_text(
        yaml.read_text().replace("load_llm\n    path: ", f"load_llm\n    path: {make_llm('qwen3')} # ")
    )
    swapped = describe_parts(load_recipe(yaml), *built(recipe))
    with pytest.raises(ValueError, match="step_1: trained with llm '.*', the recipe builds"):
        check_parts(trained, swapped, checkpoint="step_1")


def built(recipe):
    return build_model(load_recipe(recipe / "hparams" / "sift.yaml"))


def test_trap_10_refusals(recipe, llm_folder):
    llm = load_llm(llm_folder)
    with pytest.raises(TooManyRejectedError, match="nothing was kept"):
        write_targets(recipe, llm, Renderer(llm.tokenizer), response="I'm sorry, but as an AI I")
    assert rejected_path(recipe / "targets.jsonl").read_text().count('"refusal"') == 12


def test_trap_11_data_table_inconsistencies():
    """Papers contradict themselves: what is taken from AZeroS names its table, and no method quotes hours or scores of data."""
    import re

    assert "Table 3" in load_class(next(entry for entry in SHIPPED if entry.name == "sift")).__doc__
    for entry in SHIPPED:
        text = re.sub(r"arXiv:[\d.]+", "", load_class(entry).__doc__)
        assert not re.search(r"\d (h|hours)\b|\d\d\.\d", text), entry.name


def test_trap_12_determinism_of_targets(recipe, llm, renderer):
    """What is trained on is told by its content, not by its prompts: other answers to the same questions are other targets."""
    _, targets = write_targets(recipe, llm, renderer)
    before = content(targets.path, made_by="stage 2")
    again = list(targets)
    targets.path.unlink()
    _, second = write_targets(recipe, llm, renderer)
    assert (content(second.path, made_by="stage 2"), list(second)) == (before, again)
    write_records(second.path, [replace(again[0], response="other"), *again[1:]], kind=TargetRecord)
    assert content(second.path, made_by="stage 2") != before
