"""What each shipped method asks, shows and teaches."""

import inspect
from random import Random

import pytest

from auralign.layout import DEFAULT, Speech, Target, Text
from auralign.plugins import find_methods, load_class, load_method
from auralign.records import Utterance

UTTERANCE = Utterance(id="u", audio="u.flac", seconds=1.0, text="three five")
SHIPPED = [entry.name for entry in find_methods() if entry.package == "auralign"]


def example(name, **options):
    """The method, its one choice and its layout for an answer."""
    method = load_method(name, **options)
    (choice,) = method.choices(UTTERANCE, Random(0))
    return method, choice, method.layout(UTTERANCE, choice, Target("answer"))


def test_transcription_teaches_the_reference_transcript():
    method, choice, layout = example("transcription", instructions=["write: {speech}"])
    assert method.given_response(UTTERANCE, choice) == "three five"
    assert layout.student.segments == (Text("write: "), Speech("three five"), Target("answer"))


def test_sit_asks_with_the_instruction_that_it_teaches_after():
    method, choice, layout = example("sit", instructions=["{speech} say that again"])
    assert method.given_response(UTTERANCE, choice) is None
    assert layout.student.segments == (Speech("three five"), Text(" say that again"), Target("answer"))
    assert layout.teacher.before_target().segments == (Text("three five", "speech"), Text(" say that again"))


def test_sift_asks_nothing_and_has_no_system_prompt():
    method, choice, layout = example("sift")
    assert method.given_response(UTTERANCE, choice) is None
    assert layout.student.segments == (Speech("three five"), Target("answer"))
    assert layout.student.system is None
    assert layout.teacher.before_target().segments == (Text("three five", "speech"),)


def test_blsp_asks_to_continue_what_can_be_heard():
    method = load_method("blsp", instruction="go on: {speech}")
    utterance = Utterance(id="u", audio="u.flac", seconds=1.0, text="Well, it's 'three' -- Five!")
    (choice,) = method.choices(utterance, Random(0))
    layout = method.layout(utterance, choice, Target("six"))
    assert method.given_response(utterance, choice) is None
    assert layout.student.segments == (Text("go on: "), Speech("well it's three five"), Target("six"))
    assert layout.teacher.before_target().segments == (
        Text("go on: "),
        Text("well it's three five", "speech"),
    )


def test_blsp_can_keep_the_text_as_it_is():
    method = load_method("blsp", normalize=False, instruction="{speech}")
    utterance = Utterance(id="u", audio="u.flac", seconds=1.0, text="Three, Five!")
    (choice,) = method.choices(utterance, Random(0))
    assert method.layout(utterance, choice, Target("x")).student.segments[0] == Speech("Three, Five!")


@pytest.mark.parametrize("name", ["transcription", "sit"])
def test_instruction_is_drawn_by_the_seed_alone(name):
    method = load_method(name, instructions=[f"{word} {{speech}}" for word in "abcdefgh"])
    drawn = [next(iter(method.choices(UTTERANCE, Random(seed)))).instruction for seed in range(20)]
    assert drawn == [next(iter(method.choices(UTTERANCE, Random(seed)))).instruction for seed in range(20)]
    assert len(set(drawn)) > 4


def test_transcription_keeps_the_recipes_system_prompt():
    assert example("transcription")[2].student.system is DEFAULT


@pytest.mark.parametrize("name", SHIPPED)
def test_docstring_says_what_is_faithful_and_what_is_not(name):
    entry = next(entry for entry in find_methods() if entry.name == name)
    text = inspect.getdoc(load_class(entry))
    assert "Faithful to the paper" in text
    assert "Not faithful:" in text


def test_self_powered_asks_one_phrasing_of_each_of_seven_families():
    method = load_method("self_powered")
    choices = list(method.choices(UTTERANCE, Random(0)))
    assert len(choices) == len({choice.task for choice in choices}) == 7
    assert all(choice.instruction.endswith(":\n{speech}") for choice in choices)
    assert [len(set(phrasings)) for phrasings in method.families.values()] == [5] * 7
    given = {choice.task: method.given_response(UTTERANCE, choice) for choice in choices}
    assert {task for task, response in given.items() if response} == {"transcribe"}
    assert given["transcribe"] == "three five"


@pytest.mark.parametrize(("response", "kept"), [("Done.", True), ("完成。", True), ("and then the", False)])
def test_self_powered_leaves_out_answers_that_do_not_end(response, kept):
    reason = load_method("self_powered").reject(UTTERANCE, None, response)
    assert (reason is None) == kept
    assert load_method("self_powered", only_punctuated=False).reject(UTTERANCE, None, response) is None


def test_distillation_compares_at_temperature_two_and_once_more_at_the_end(llm, renderer):
    import torch

    from auralign.models.connectors import StackAndProject
    from auralign.models.speech_llm import SpeechLLM

    method, _, layout = example("distillation", instruction="repeat {speech}", end_weight=0.5)
    model = SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)
    (heard,) = model.hear(torch.randn(1, 8, 6), torch.tensor([8]))
    student = model(model.pack([renderer.render(layout.student)], [heard]))
    teacher = model.read([renderer.render(layout.teacher)])
    terms = method.loss({"student": student, "teacher": teacher})
    predicted = [(llm.head(view.predicting("target")) / 2).log_softmax(-1) for view in (student, teacher)]
    by_position = (predicted[1].exp() * (predicted[1] - predicted[0])).sum(-1)
    torch.testing.assert_close(terms["divergence"].sum, by_position.sum(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["end_divergence"].sum, by_position[-1], rtol=1e-4, atol=1e-5)
    assert (terms["end_divergence"].weight, terms["end_divergence"].unit) == (0.5, "end")


def test_diva_asks_for_no_answer_and_compares_two_things(llm, renderer):
    import torch

    from auralign.models.connectors import StackAndProject
    from auralign.models.speech_llm import SpeechLLM

    method = load_method("diva")
    assert not method.needs.target
    (choice,) = method.choices(UTTERANCE, Random(0))
    layout = method.layout(UTTERANCE, choice, Target("", finished=False))
    model = SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)
    (heard,) = model.hear(torch.randn(1, 30, 6), torch.tensor([30]))
    student = model(model.pack([renderer.render(layout.student)], [heard]))
    teacher = model.read([renderer.render(layout.teacher)])
    terms = method.loss({"student": student, "teacher": teacher})
    read = llm.embed(renderer.encode("three five"))
    assert len(read) < len(heard)
    by_token = (heard[-len(read) :] - read).norm(dim=-1)
    torch.testing.assert_close(terms["input"].sum, by_token.sum())
    assert terms["input"].count == len(read)
    prompts = [
        model.pack([renderer.render(view.before_target())], [speech])
        for view, speech in ((layout.student, heard), (layout.teacher, None))
    ]
    states = [llm.hidden_states(pack.embeddings, pack.positions)[-1] for pack in prompts]
    torch.testing.assert_close(terms["first_token"].sum, (states[0] - states[1]).norm(), rtol=1e-4, atol=1e-5)
