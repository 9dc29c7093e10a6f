"""What each shipped method asks, shows and teaches."""

import inspect
from dataclasses import replace
from random import Random

import pytest

from auralign.changes import show_change
from auralign.fingerprint import describe, same
from auralign.layout import DEFAULT, Response, Speech, Text
from auralign.plugins import find_methods, load_class, load_method
from auralign.records import Utterance
from hearing import hear

UTTERANCE = Utterance(id="u", audio="u.flac", seconds=1.0, text="three five")
WITH_ADDED = "blsp desta distillation diva internal_alignment mtbi self_powered sift wav2prompt".split()
SHIPPED = [entry.name for entry in find_methods() if entry.package == "auralign"]


def example(name, **options):
    """The method, its one choice and its layout for an answer."""
    method = load_method(name, **options)
    (choice,) = method.choices(UTTERANCE, Random(0))
    return method, choice, method.layout(UTTERANCE, choice, Response("answer"))


def test_transcription_teaches_the_reference_transcript():
    method, choice, layout = example("transcription", instructions=["write: {speech}"])
    assert method.given_response(UTTERANCE, choice) == "three five"
    assert layout.student.segments == (Text("write: "), Speech("three five"), Response("answer"))


def test_sit_asks_with_the_instruction_that_it_teaches_after():
    method, choice, layout = example("sit", instructions=["{speech} say that again"])
    assert method.given_response(UTTERANCE, choice) is None
    assert layout.student.segments == (Speech("three five"), Text(" say that again"), Response("answer"))
    assert layout.teacher.before_target().segments == (Text("three five", "speech"), Text(" say that again"))


def test_sift_asks_nothing_and_has_no_system_prompt():
    method, choice, layout = example("sift")
    assert method.given_response(UTTERANCE, choice) is None
    assert layout.student.segments == (Speech("three five"), Response("answer"))
    assert layout.student.system is None
    assert layout.teacher.before_target().segments == (Text("three five", "speech"),)


def test_blsp_asks_to_continue_what_can_be_heard():
    method = load_method("blsp", instruction="go on: {speech}")
    utterance = Utterance(
        id="u", audio="u.flac", seconds=1.0, text="Well, it’s Quilter's 'colour' -- twenty Five (coughs)!"
    )
    (choice,) = method.choices(utterance, Random(0))
    layout = method.layout(utterance, choice, Response("six"))
    assert method.given_response(utterance, choice) is None
    assert layout.student.segments == (
        Text("go on: "),
        Speech("well it is quilter is colour 25"),
        Response("six"),
    )
    assert layout.teacher.before_target().segments == (
        Text("go on: "),
        Text("well it is quilter is colour 25", "speech"),
    )


def test_blsp_changes_british_spelling_where_it_is_told(tmp_path):
    (tmp_path / "normalizer.json").write_text('{"colour": "color"}')
    method = load_method("blsp", instruction="{speech}", spellings=str(tmp_path / "normalizer.json"))
    (layout,) = layouts(method, replace(TOLD, text="Colour!"))
    assert layout.student.segments[0] == Speech("color")


def test_blsp_takes_other_languages_as_whisper_does():
    (layout,) = layouts(
        load_method("blsp", instruction="{speech}"), replace(TOLD, text="Zwanzig, fünf!", language="de")
    )
    assert layout.student.segments[0] == Speech("zwanzig fünf")


def test_blsp_can_keep_the_text_as_it_is():
    method = load_method("blsp", normalize=False, instruction="{speech}")
    utterance = Utterance(id="u", audio="u.flac", seconds=1.0, text="Three, Five!")
    (choice,) = method.choices(utterance, Random(0))
    assert method.layout(utterance, choice, Response("x")).student.segments[0] == Speech("Three, Five!")


@pytest.mark.parametrize("name", ["transcription", "sit"])
def test_instruction_is_drawn_by_the_seed_alone(name):
    method = load_method(name, instructions=[f"{word} {{speech}}" for word in "abcdefgh"])
    drawn = [next(iter(method.choices(UTTERANCE, Random(seed)))).instruction for seed in range(20)]
    assert drawn == [next(iter(method.choices(UTTERANCE, Random(seed)))).instruction for seed in range(20)]
    assert len(set(drawn)) > 4


@pytest.mark.parametrize("name", ["transcription", "sit", "sift"])
def test_the_three_arms_have_no_system_prompt_or_all_the_recipes(name):
    for layout in (example(name)[2], example(name, no_system_prompt=True)[2]):
        assert layout.student.system is layout.teacher.system is None
    layout = example(name, no_system_prompt=False)[2]
    assert layout.student.system is layout.teacher.system is DEFAULT


@pytest.mark.parametrize("name", SHIPPED)
def test_docstring_says_what_is_faithful_and_what_is_not(name):
    entry = next(entry for entry in find_methods() if entry.name == name)
    text = inspect.getdoc(load_class(entry))
    assert "Faithful to the paper" in text
    assert "Not faithful:" in text


def record_of(method, **changes):
    """What an auralign wrote of the method before options were added to it."""
    account = describe(method)
    options = {name: value for name, value in account["options"].items() if name not in method.added}
    return {"method": account["method"], "version": account["version"], "options": options, **changes}


@pytest.mark.parametrize("name", WITH_ADDED)
def test_a_record_without_the_options_that_were_added_since_is_no_changed_input(name):
    method = load_method(name)
    assert method.added
    assert same(record_of(method), describe(method))
    assert same(describe(method), describe(method))
    assert show_change("method", record_of(method), describe(method)) == ""


def test_an_added_option_at_another_value_is_a_changed_input():
    before, now = record_of(load_method("sift")), describe(load_method("sift", normalize=True))
    assert not same(before, now)
    assert show_change("method", before, now) == "method.options.normalize false -> true"
    assert not same(now, describe(load_method("sift")))


def test_a_model_whose_content_changed_is_named_by_its_path(tmp_path):
    account = {"call": "load", "args": [], "with": {"path": str(tmp_path)}}
    before, now = ({**account, "content": [digit * 32]} for digit in "ab")
    assert show_change("llm", before, now) == f"llm.content ({tmp_path}) aaaaaaaa -> bbbbbbbb"


@pytest.mark.parametrize("name", ["sit", "transcription"])
def test_earlier_runs_with_the_recipes_system_prompt_are_those_of_the_option(name):
    earlier = record_of(load_method(name, no_system_prompt=False))
    assert earlier["version"] == "1"
    assert same(earlier, describe(load_method(name, no_system_prompt=False)))
    assert not same(earlier, describe(load_method(name)))


def test_versions_tell_what_the_same_options_make_otherwise_than_before():
    versions = {
        ("sift", ()): "1", ("sift", (("views", ("s", "sp")),)): "2",
        ("blsp_kd", ()): "2", ("blsp_kd", (("input_weight", 0.0),)): "1",
        ("wav2prompt", ()): "1", ("wav2prompt", (("stage", "distil"),)): "2",
        ("blsp_emo", ()): "2",
    }  # fmt: skip
    assert {key: load_method(key[0], **dict(key[1])).version for key in versions} == versions


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


def test_self_powered_marks_the_speech_for_the_student_by_option():
    options = {"families": {"repeat": ["Say it again"]}, "text_marker": ": ", "speech_marker": "\nSPEECH:"}
    method = load_method("self_powered", **options)
    (layout,) = layouts(method)
    assert layout.student.segments == (
        Text("Say it again"),
        Text("\nSPEECH:"),
        Speech("three five"),
        Response("answer"),
    )
    assert layout.teacher.before_target().segments == (Text("Say it again: "), Text("three five", "speech"))
    assert method.slot(UTTERANCE) == (Text("\nSPEECH:"), Speech("three five"))


def test_self_powered_draws_one_family_for_each_utterance_by_option():
    method = load_method("self_powered", families_per_utterance=1)
    drawn = [[choice.task for choice in method.choices(UTTERANCE, Random(seed))] for seed in range(60)]
    assert {len(tasks) for tasks in drawn} == {1}
    assert {task for (task,) in drawn} == set(method.families)


def test_distillation_compares_at_temperature_two_and_once_more_at_the_end(llm, renderer):
    import torch

    from auralign.models.connectors import StackAndProject
    from auralign.models.speech_llm import SpeechLLM

    method, _, layout = example("distillation", instruction="repeat {speech}", end_weight=0.5)
    model = SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)
    (heard,) = hear(model, torch.randn(1, 8, 6), torch.tensor([8]))
    student = model(model.pack([renderer.render(layout.student)], [heard]))
    teacher = model.read(model.pack_text([renderer.render(layout.teacher)]))
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
    layout = method.layout(UTTERANCE, choice, Response("", finished=False))
    model = SpeechLLM(torch.nn.Identity(), StackAndProject(6, llm.width, stride=2, keep_remainder=True), llm)
    (heard,) = hear(model, torch.randn(1, 30, 6), torch.tensor([30]))
    student = model(model.pack([renderer.render(layout.student)], [heard]))
    teacher = model.read(model.pack_text([renderer.render(layout.teacher)]))
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


TOLD = replace(
    UTTERANCE,
    attributes={"gender": "female", "age": 34, "emotion": "happy"},
    words=(("three", 0.1, 0.4), ("five", 0.6, 0.9)),
)


def layouts(method, utterance=TOLD):
    return [
        method.layout(utterance, choice, Response("answer"))
        for choice in method.choices(utterance, Random(0))
    ]


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("Well [noise] I <unk> Know (laughs).", "well i know ."),
        ("而 对 楼市 成交", "而对楼市成交"),
        ("我 Love你", "我 love 你"),
    ],
)
def test_azeros_normalizes_as_its_script_does(text, normalized):
    for name in ("sift", "sit", "transcription"):
        assert load_method(name, normalize=True).text_of(replace(UTTERANCE, text=text)) == normalized


def test_sift_tells_attributes_in_the_slots_that_speech_takes():
    (layout,) = layouts(load_method("sift", views=["sp"], voice_branch="voice"))
    meta = "age: young adult, gender: female, emotion: happy"
    assert layout.student.segments == (
        Text("<audio><meta>"),
        Speech(meta, branch="voice", tag="attributes"),
        Text("</meta><text>"),
        Speech("three five"),
        Text("</text></audio>"),
        Response("answer"),
    )
    read = "".join(segment.text for segment in layout.teacher.before_target().segments)
    assert read == f"<audio><meta>{meta}</meta><text>three five</text></audio>"
    assert layout.student.system is layout.teacher.system is None


def tags(meta, text="three five"):
    return f"<audio><meta>{meta}</meta><text>{text}</text></audio>"


def test_sift_with_one_encoder_hears_bare_speech():
    method = load_method("sift", views=["sp"], attributes=["gender"])
    (layout,) = layouts(method)
    assert layout.student.segments == (Speech(tags("gender: female")), Response("answer"))
    assert layout.teacher.before_target().segments == (Text(tags("gender: female"), "speech"),)
    assert method.slot(UTTERANCE) == (Speech("three five"),)


@pytest.mark.parametrize(
    ("age", "group"),
    [(17, "teenager"), (18, "young adult"), (40, "middle-age adult"), (60, "middle-age adult"), (61, "senior"),
     ("twenties", "twenties")],
)  # fmt: skip
def test_sift_tells_ages_by_the_papers_groups(age, group):
    method = load_method("sift", views=["sp"], attributes=["age"])
    (layout,) = layouts(method, replace(TOLD, attributes={"age": age}))
    assert layout.student.segments[0].text == tags(f"age: {group}")


@pytest.mark.parametrize(
    "unknown",
    [None, "", " ", float("nan"), *"unknown Unknown NA na N/A unk UNK <unk> null None ? [Unknown]".split()],
)
def test_sift_leaves_out_what_is_not_known(unknown):
    method = load_method("sift", views=["sp"])
    (layout,) = layouts(method, replace(TOLD, attributes={"gender": unknown, "emotion": "sad"}))
    assert layout.student.segments[0].text == tags("emotion: sad")


@pytest.mark.parametrize("age", [-1, 200, float("nan")])
def test_sift_leaves_out_ages_that_nobody_has(age):
    (layout,) = layouts(load_method("sift", views=["sp"]), replace(TOLD, attributes={"age": age}))
    assert layout.student.segments[0].text == tags("")


def test_sift_names_attributes_in_lower_case():
    method = load_method("sift", views=["sp"])
    (layout,) = layouts(method, replace(TOLD, attributes={"gender": "Female", "emotion": "HAPPY"}))
    assert layout.student.segments[0].text == tags("gender: female, emotion: happy")


@pytest.mark.parametrize("name", ["sift", "sit"])
@pytest.mark.parametrize("voice_branch", [None, "voice"])
def test_the_persona_is_the_teachers_alone(name, voice_branch):
    method = load_method(name, views=["s", "sp", "ssp"], persona="You listen.", voice_branch=voice_branch)
    made = layouts(method)
    assert [layout.student.system for layout in made] == [None, None, None]
    assert [layout.teacher.system for layout in made] == [None, None, "You listen."]
    assert made[2].student.segments == made[1].student.segments


def test_a_persona_leaves_the_student_the_recipes_system_prompt():
    (layout,) = layouts(load_method("sift", views=["ssp"], no_system_prompt=False))
    assert layout.student.system is DEFAULT


def test_sit_repeats_by_the_papers_words():
    _, choice, layout = example("sit")
    assert layout.student.segments == (
        Speech("three five"),
        Text(" Repeat the above content."),
        Response("answer"),
    )
    assert (choice.task, choice.options) == ("repeat", {})


@pytest.mark.parametrize(
    ("language", "request_"),
    [("en", " Describe all information you can hear."), ("zh-CN", " 描述你听到的所有信息。"),
     ("de", " Describe all information you can hear.")],
)  # fmt: skip
def test_sit_asks_to_describe_all_that_is_heard(language, request_):
    method = load_method("sit", views=["sp", "ssp"], attributes=["gender"])
    utterance = replace(TOLD, language=language)
    assert [choice.task for choice in method.choices(utterance, Random(0))] == ["describe", "describe"]
    for layout in layouts(method, utterance):
        assert layout.student.segments == (Speech(tags("gender: female")), Text(request_), Response("answer"))
        read = "".join(segment.text for segment in layout.teacher.before_target().segments)
        assert read == tags("gender: female") + request_


def test_sit_without_english_descriptions_says_which_to_give():
    with pytest.raises(ValueError, match="descriptions of zh: give those of en"):
        load_method("sit", views=["sp"], descriptions={"zh": ["{speech} x"]})


@pytest.mark.parametrize(("name", "task"), [("sit", "repeat"), ("transcription", "transcription")])
@pytest.mark.parametrize(
    ("speech_place", "instruction"),
    [(None, "write: {speech}"), ("first", "{speech} write"), ("last", "write: {speech}")],
)
def test_the_speech_comes_first_or_last_by_option(name, task, speech_place, instruction):
    method = load_method(name, instructions=["write: {speech}"], speech_place=speech_place)
    (choice,) = method.choices(UTTERANCE, Random(0))
    assert (choice.instruction, choice.task) == (instruction, task)


def test_the_quotes_around_the_speech_go_where_it_goes():
    (choice,) = load_method("sit", instructions=['Say "{speech}".'], speech_place="first").choices(
        UTTERANCE, Random(0)
    )
    assert choice.instruction == "{speech} Say"


def test_the_speech_moves_from_the_middle_and_the_beginning_to_the_end():
    for before in ("take {speech} and repeat it", "{speech} take and repeat it"):
        (choice,) = load_method("sit", instructions=[before], speech_place="last").choices(
            UTTERANCE, Random(0)
        )
        assert choice.instruction == "take and repeat it {speech}"


@pytest.mark.parametrize("name", ["transcription", "sit", "sift"])
def test_texts_are_lower_case_without_brackets_by_option(name):
    utterance = replace(UTTERANCE, text="Well, [noise] Three <unk> (coughs) FIVE.")
    (layout,) = layouts(load_method(name, normalize=True), utterance)
    assert "well, three five." in [segment.text for segment in layout.teacher.segments]
    if name == "transcription":
        assert load_method(name, normalize=True).given_response(utterance, None) == "well, three five."
    (layout,) = layouts(load_method(name), utterance)
    assert utterance.text in [segment.text for segment in layout.teacher.segments]


@pytest.mark.parametrize("name", ["transcription", "sit", "sift"])
@pytest.mark.parametrize(
    ("seconds", "text", "chosen"),
    [(1.0, "a", False), (1.1, "a", True), (30.0, "a", True), (30.1, "a", False), (2.0, "a" * 59, True),
     (2.0, "a" * 60, False), (2.0, "", False)],
)  # fmt: skip
def test_utterances_are_limited_as_in_the_paper_by_option(name, seconds, text, chosen):
    method = load_method(name, min_seconds=1.0, max_seconds=30.0, max_letters_per_second=30.0)
    utterance = replace(UTTERANCE, seconds=seconds, text=text)
    assert bool(list(method.choices(utterance, Random(0)))) == chosen
    assert list(load_method(name).choices(utterance, Random(0)))


def test_sift_with_two_encoders_reads_the_bare_transcript_and_hears_both():
    plain, told = layouts(load_method("sift", views=["s", "sp"], voice_branch="voice"))
    assert plain.student == told.student
    assert plain.teacher.before_target().segments == (Text("three five", "speech"),)


def test_sift_refuses_views_that_it_has_not():
    with pytest.raises(ValueError, match=r"views \['sps'\]: name one or more of s, sp, ssp"):
        load_method("sift", views=["sps"])


def speech_model(llm, **options):
    import torch

    from auralign.models.connectors import ContinuousIntegrateAndFire
    from auralign.models.speech_llm import SpeechLLM

    torch.manual_seed(0)
    connector = ContinuousIntegrateAndFire(6, llm.width, tokens_per_frame=0.5, project_first=True)
    return SpeechLLM(torch.nn.Identity(), connector, llm, **options)


def outputs(method, model, renderer, utterance=TOLD):
    """Student and teacher of the method's first example, told how many tokens there are."""
    import torch

    from auralign.method import draw

    choice = draw(method, utterance, Random(0))[0]
    layout = method.layout(utterance, choice, Response("i heard three five"))
    student = renderer.render(layout.student)
    frames = {
        "speech": (torch.randn(1, 12, 6, generator=torch.Generator().manual_seed(3)), torch.tensor([12]))
    }
    speech, extras = model.listen([student], frames, use_token_count=method.needs.num_tokens)
    return {
        "student": model(model.pack([student], speech), method.needs.layers, extras, [choice]),
        "teacher": model.read(model.pack_text([renderer.render(layout.teacher)]), method.needs.layers),
    }


def kl(llm, student, teacher, temperature):
    predicted = [(llm.head(states) / temperature).log_softmax(-1) for states in (student, teacher)]
    return (predicted[1].exp() * (predicted[1] - predicted[0])).sum(-1)


def test_blsp_kd_compares_response_and_input_and_counts(llm, renderer):
    import torch

    method = load_method("blsp_kd", instruction="go on: {speech}", input_weight=0.5)
    views = outputs(method, speech_model(llm), renderer)
    terms, (student, teacher) = method.loss(views), views.values()
    assert set(terms) == {"response_divergence", "input_divergence", "quantity"}
    compared = {
        "response_divergence": (student.predicting("target"), teacher.predicting("target")),
        "input_divergence": (student.at("speech"), teacher.at("speech")),
    }
    for name, states in compared.items():
        torch.testing.assert_close(terms[name].sum, kl(llm, *states, 2.0).sum(), rtol=1e-4, atol=1e-5)
    num_tokens = len(renderer.encode("three five"))
    assert terms["input_divergence"].count == num_tokens
    assert (terms["input_divergence"].weight, terms["input_divergence"].unit) == (0.5, "speech")
    expected = (student.extras["quantity"] / num_tokens - 1).abs().item()
    assert terms["quantity"].sum.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options", "term"),
    [("blsp_kd", {}, "input_divergence"), ("wav2prompt", {"stage": "distil"}, "first_layer")],
)
def test_each_spoken_token_counts_in_the_terms_of_the_input(llm, renderer, name, options, term):
    """A change of one spoken token's embedding, the first or the last, changes the term: no token is left out."""

    method, model = load_method(name, **options), speech_model(llm)
    terms = []
    for changed in (None, 0, -1):
        connector = model.connectors["speech"]

        def change(module, inputs, made, changed=changed):
            if changed is not None:
                made[0][0, changed] += 1.0

        handle = connector.register_forward_hook(change)
        terms.append(method.loss(outputs(method, model, renderer))[term].sum.item())
        handle.remove()
    assert abs(terms[1] - terms[0]) > 1e-4
    assert abs(terms[2] - terms[0]) > 1e-4


def test_a_kept_teacher_and_an_empty_target_are_not_compared_at_tokens(llm, renderer):
    from auralign.losses import TopK

    views = outputs(load_method("blsp_kd"), speech_model(llm), renderer)
    student, teacher = views["student"], views["teacher"]
    kept = TopK.of(llm.head(teacher.predicting("target")), 5, 1.0)
    with pytest.raises(ValueError, match="divergence at the tokens under 'target': the teacher was cached"):
        student.divergence(kept, "target", at_tokens=True)
    with pytest.raises(ValueError, match="compare `predicting"):
        student.divergence(teacher, "first", at_tokens=True)


def test_blsp_kd_without_the_input_needs_no_connector_that_counts():
    assert load_method("blsp_kd").needs.num_tokens
    assert not load_method("blsp_kd", input_weight=0.0).needs.num_tokens


@pytest.mark.parametrize(
    ("values", "said", "told"),
    [
        (None, "surprise", "surprise"),
        (None, "Surprised", "surprise"),
        (None, "joy", "happy"),
        (None, "sadness", "sad"),
        (("neutral", "surprised"), "surprise", "surprised"),
        (("slow", "fast"), "fast", "fast"),
    ],
)
def test_blsp_emo_knows_what_corpora_call_an_emotion(values, said, told):
    method = load_method("blsp_emo", **({"values": values} if values else {}))
    (choice,) = method.choices(replace(TOLD, attributes={"emotion": said}), Random(0))
    assert choice.options == {"value": told}


def test_blsp_emo_can_leave_both_the_recipes_system_prompt():
    (layout,) = layouts(load_method("blsp_emo", teacher_system=None, student_system=None))
    assert layout.student.system is layout.teacher.system is DEFAULT


def test_blsp_emo_tells_the_emotion_to_the_teacher_alone():
    (layout,) = layouts(load_method("blsp_emo"))
    assert "happy" in str(layout.teacher.segments)
    assert "happy" not in str(layout.student)
    assert layout.student.system == layout.teacher.system == load_method("blsp_emo").teacher_system
    assert layout.student.response == layout.teacher.response == Response("answer")


@pytest.mark.parametrize("attributes", [{}, {"emotion": "bored"}])
def test_blsp_emo_asks_nothing_where_the_emotion_is_unknown(attributes):
    assert layouts(load_method("blsp_emo"), replace(TOLD, attributes=attributes)) == []


def test_blsp_emo_hears_the_emotion_in_the_mean_of_the_speech(llm, renderer):
    import torch

    method = load_method("blsp_emo", head_weight=0.5)
    assert dict(method.needs.heads) == {"emotion": 5}
    assert not method.needs.head_bias
    model = speech_model(llm, heads={"emotion": torch.nn.Linear(llm.width, 5, bias=False)})
    views = outputs(method, model, renderer)
    term = method.loss(views)["emotion"]
    mean = views["student"].at("speech", 0).mean(0)
    expected = -model.heads["emotion"](mean).log_softmax(-1)[method.values.index("happy")]
    torch.testing.assert_close(term.sum, expected)
    assert (term.count, term.weight, term.unit) == (1, 0.5, "sequences")


def test_mtbi_reads_spans_of_words_and_hears_the_rest():
    from auralign.records import Choice

    words = (("a", 0.0, 0.25), ("b", 0.25, 0.5), ("c", 0.5, 0.625), ("d", 0.875, 1.0))
    utterance = replace(TOLD, text="a b c d", words=words)
    choice = Choice(task="repeat", instruction="say {speech} again", options={"read": [1, 2]})
    layout = load_method("mtbi").layout(utterance, choice, Response("x"))
    assert layout.student.segments == (
        Text("say "),
        Speech("a", span=(0.0, 0.25)),
        Text(" b c ", "read"),
        Speech("d", span=(0.75, 1.0)),
        Text(" again"),
        Response("x"),
    )
    assert layout.teacher.before_target().segments == (
        Text("say "),
        Text("a b c d", "speech"),
        Text(" again"),
    )


def test_mtbi_asks_several_tasks_in_drawn_phrasings():
    method = load_method("mtbi", tasks={"repeat": ["a {speech}", "b {speech}"], "sort": ["c {speech}"]})
    drawn = [[choice.instruction for choice in method.choices(TOLD, Random(seed))] for seed in range(20)]
    assert {tuple(sorted(one)) for one in drawn} == {
        ("a {speech}", "c {speech}"),
        ("b {speech}", "c {speech}"),
    }
    one = load_method("mtbi", tasks_per_utterance=1)
    assert {len(list(one.choices(TOLD, Random(seed)))) for seed in range(20)} == {1}


def test_mtbi_leaves_something_to_hear():
    method = load_method("mtbi", share_interleaved=1.0, share_read=1.0, tasks_per_utterance=1)
    (layout,) = layouts(method)
    assert any(isinstance(segment, Speech) for segment in layout.student.segments)


def test_mtbi_without_word_times_names_the_command():
    method = load_method("mtbi", share_interleaved=1.0)
    with pytest.raises(ValueError, match="no word times to interleave by: run `auralign align`"):
        list(method.choices(UTTERANCE, Random(0)))
    (layout, *_) = layouts(method, replace(TOLD, words=()))
    assert Speech("three five") in layout.student.segments


def test_mtbi_says_that_it_is_a_reading_of_an_abstract():
    entry = next(entry for entry in find_methods() if entry.name == "mtbi")
    assert "in our reading of the abstract" in inspect.getdoc(load_class(entry))


def test_internal_alignment_averages_the_cosine_of_layers(llm, renderer):
    import torch

    method = load_method("internal_alignment", depths=[0.5], weight=0.2)
    views = outputs(method, speech_model(llm), renderer)
    term, (student, teacher) = method.loss(views)["cosine"], views.values()
    expected = [
        (
            1
            - torch.nn.functional.cosine_similarity(student.at("speech", layer), teacher.at("speech", layer))
        ).sum()
        for layer in (0, 0.5, -1)
    ]
    torch.testing.assert_close(term.sum, sum(expected) / 3, rtol=1e-4, atol=1e-5)
    assert (term.count, term.weight) == (len(renderer.encode("three five")), 0.2)


def test_desta_describes_times_words_and_attributes():
    method = load_method("desta", prompts=["{speech} and?"], attributes=["gender", "emotion"])
    (layout,) = layouts(method, replace(TOLD, seconds=65.4))
    description = "[00:00:00 - 00:01:05] three five (Gender: female, Emotion: happy)"
    assert layout.teacher.before_target().segments == (Text(description, "speech"), Text(" and?"))
    assert layout.student.segments == (
        Speech(description),
        Text("three five", "transcript"),
        Text(" and?"),
        Response("answer"),
    )


def test_desta_without_assistance_hears_alone():
    from auralign.method import is_assisted

    method = load_method("desta", prompts=["{speech}"], text_assist=False)
    (layout,) = layouts(method)
    assert [type(segment) for segment in layout.student.segments] == [Speech, Response]
    assert not is_assisted(method)
    assert is_assisted(load_method("desta"))


def test_wav2prompt_matches_embeddings_count_and_words(llm, renderer):
    import torch

    method = load_method("wav2prompt")
    views = outputs(method, speech_model(llm), renderer)
    terms = method.loss(views)
    read = llm.embed(renderer.encode("three five"))
    torch.testing.assert_close(
        terms["embedding"].sum, (views["student"].at("speech", 0) - read).square().sum()
    )
    assert set(terms) == {"embedding", "quantity", "cross_entropy"}


def test_wav2prompt_names_the_tokens_of_the_transcript(llm, renderer):
    import torch

    from auralign.losses import naming_loss

    method = load_method("wav2prompt", naming_weight=0.5, num_rivals=20)
    views = outputs(method, speech_model(llm), renderer)
    term, ids = method.loss(views)["naming"], torch.tensor(renderer.encode("three five"))
    table = llm.model.get_input_embeddings().weight
    named = naming_loss(views["student"].at("speech", 0), table[ids], ids, table[:20], table.mean(0))
    torch.testing.assert_close(term.sum, named.sum)
    assert (term.count, term.weight, term.unit) == (len(ids), 0.5, "speech")


def test_acif_aligns_without_running_the_llm(llm, renderer, monkeypatch):
    import torch

    from auralign.losses import warp

    method, model = load_method("wav2prompt", stage="align"), speech_model(llm)
    views = outputs(method, model, renderer)
    monkeypatch.setattr(llm, "run", lambda *arguments: pytest.fail("the LLM ran"))
    terms, extras = method.loss(views), views["student"].extras
    read = llm.embed(renderer.encode("three five"))
    taken = warp(extras["frames"][0], read) * extras["weights"][0]
    gathered = (taken @ extras["frames"][0]) / taken.sum(1, keepdim=True)
    relative = (gathered - read).square().sum(-1) / read.square().sum(-1)
    torch.testing.assert_close(terms["distance"].sum, relative.sum(), rtol=1e-4, atol=1e-5)
    centre = llm.model.get_input_embeddings().weight.mean(0)
    cosine = torch.nn.functional.cosine_similarity(gathered - centre, read - centre)
    torch.testing.assert_close(terms["cosine"].sum, (1 - cosine).sum(), rtol=1e-4, atol=1e-5)
    assert [terms[name].weight for name in ("distance", "cosine", "quantity")] == [0.01, 10.0, 1.0]


def test_acif_aligns_only_frames_that_it_is_given(llm, renderer):
    import torch

    from auralign.models.connectors import ContinuousIntegrateAndFire
    from auralign.models.speech_llm import SpeechLLM

    method = load_method("wav2prompt", stage="align")
    model = SpeechLLM(torch.nn.Identity(), ContinuousIntegrateAndFire(6, llm.width), llm)
    with pytest.raises(ValueError, match="ContinuousIntegrateAndFire with project_first: True"):
        method.loss(outputs(method, model, renderer))


def test_acif_distils_the_first_layer_through_the_llms_own_head(llm, renderer):
    import torch

    method = load_method("wav2prompt", stage="distil")
    views = outputs(method, speech_model(llm), renderer)
    student, teacher = views.values()
    states = [llm.model.base_model.norm(view.at("speech", 1)) for view in (student, teacher)]
    torch.testing.assert_close(
        method.loss(views)["first_layer"].sum, kl(llm, *states, 1.0).sum(), rtol=1e-4, atol=1e-5
    )


def test_wav2prompt_refuses_a_stage_that_it_has_not():
    with pytest.raises(ValueError, match="stage 'algin': use joint, align, distil"):
        load_method("wav2prompt", stage="algin")


def test_mtbi_hears_words_without_length_with_their_neighbours():
    words = (("a", 0.0, 0.5), ("-", 0.5, 0.5), ("b", 0.5, 1.0), (".", 1.0, 1.0))
    method = load_method("mtbi", tasks={"repeat": ["{speech}"]}, share_interleaved=1.0, max_span=1)
    utterance = replace(TOLD, text="a - b .", words=words)
    for seed in range(30):
        for choice in method.choices(utterance, Random(seed)):
            layout = method.layout(utterance, choice, Response("x"))
            assert any(isinstance(segment, Speech) for segment in layout.student.segments)
            assert "".join(segment.text for segment in layout.student.read().segments[:-1]).split() == [
                "a",
                "-",
                "b",
                ".",
            ]


def test_blsp_emo_knows_emotions_with_capitals():
    (layout,) = layouts(load_method("blsp_emo"), replace(TOLD, attributes={"emotion": "Happy"}))
    assert "happy" in str(layout.teacher)


def test_sift_reads_ages_off_tables():
    (layout,) = layouts(
        load_method("sift", views=["sp"], attributes=["age"]), replace(TOLD, attributes={"age": "34"})
    )
    assert "age: young adult" in layout.student.segments[0].text


def test_desta_leaves_out_what_is_not_known():
    method = load_method("desta", prompts=["{speech}"])
    (layout,) = layouts(method, replace(TOLD, attributes={"emotion": None, "gender": "", "speed": "slow"}))
    assert layout.teacher.segments[0].text.endswith("three five (Speed: slow)")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("sift", {"attributes": "age"}, "attributes: 'age' is one string; give a list"),
        ("sit", {"instructions": "go: {speech}"}, "instructions: 'go: {speech}' is one string"),
        ("self_powered", {"families": {"repeat": "again"}}, "families: 'again' is one string"),
        ("blsp_emo", {"teacher_instruction": "{speech}"}, "name the emotion in it, as {value}"),
        ("mtbi", {"tasks_per_utterance": 0}, "tasks_per_utterance 0: give at least 1"),
        ("self_powered", {"families_per_utterance": 0}, "families_per_utterance 0: give at least 1"),
        ("sit", {"speech_place": "front"}, "speech_place 'front': use first, last"),
        ("transcription", {"max_seconds": -1}, "max_seconds -1: give a number that is not negative"),
        ("sift", {"min_seconds": 5, "max_seconds": 2}, "min_seconds 5 leaves nothing below max_seconds 2"),
        ("sift", {"refusals": "sorry"}, "refusals: 'sorry' is one string; give a list"),
        ("conditional", {"bound": "5e-4"}, "bound: '5e-4' is not a finite number; write 0.0005 or 5.0e-4"),
        ("conditional", {"bound": float("nan")}, "bound: nan is not a finite number"),
        ("interleave", {"share_heard": True}, "share_heard: True is not a finite number"),
        ("in_context", {"relatives": 1.5}, "relatives: 1.5 is not a whole number"),
        ("in_context", {"hear_itself": "no"}, "hear_itself: 'no' is not true or false"),
        ("tagged", {"book": 7}, "book: 7 is not text"),
        ("distillation", {"top_k": -3}, "top_k -3, temperature 2.0: give 0 or more"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(name, options, says):
    import re

    with pytest.raises(ValueError, match=re.escape(says)):
        assert load_method(name, **options).needs


def test_blsp_keeps_the_vowel_signs_of_other_languages():
    method = load_method("blsp")
    utterance = Utterance("a", "a.wav", 1.0, "पानी, पीना।", language="hi")
    (choice,) = method.choices(utterance, Random(1))
    view = method.layout(utterance, choice, Response("x")).student
    assert [one.text for one in view.segments if isinstance(one, Speech)] == ["पानी पीना"]
