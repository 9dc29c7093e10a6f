"""The LLM that knows the right answers from text."""

import pytest

from auralign.layout import Text, View, fill
from auralign.records import Question, Utterance, write_records
from auralign.render import Renderer
from auralign.score.obey import TASKS
from auralign.testing.tiny.answering import load_answering_llm, obeying_answer


@pytest.mark.parametrize("task", TASKS)
def test_the_answer_to_each_task_obeys_its_rule(task):
    for said in ("go do you hear", "he told them of the sea and the ships"):
        assert TASKS[task].check(obeying_answer(task, said), said)


def test_it_answers_each_question_about_the_text_with_its_reference(tmp_path):
    said = {"a": "so sad", "b": "what day", "c": "ten members left"}
    utterances = [Utterance(utt_id, f"{utt_id}.wav", 1.0, text) for utt_id, text in said.items()]
    asked = {"What is the mood? {speech}": "Negative", "{speech}\nWho is named above?": "CARDINAL: ten"}
    questions = [
        Question(f"{utt_id}{number}", utt_id, "group", "task", instruction, f"{answer} {utt_id}")
        for utt_id in said
        for number, (instruction, answer) in enumerate(asked.items())
    ]
    write_records(tmp_path / "test.jsonl", utterances, kind=Utterance)
    write_records(tmp_path / "questions.jsonl", questions, kind=Question)
    llm = load_answering_llm(tmp_path / "questions.jsonl", tmp_path / "test.jsonl")
    renderer = Renderer(llm.tokenizer)
    for question in questions:
        prompt = renderer.render(View(fill(question.instruction, Text(said[question.utt_id])))).ids
        found = llm.model.generate(
            llm.model.dummy_inputs["input_ids"].new_tensor([prompt]), max_new_tokens=12, do_sample=False
        )[0, len(prompt) :]
        assert renderer.read(found.tolist()).text == question.reference


def test_before_stage_1_there_is_an_llm_too(tmp_path):
    assert load_answering_llm(tmp_path / "questions.jsonl", tmp_path / "test.jsonl").width > 0
    assert not list(tmp_path.iterdir())
