"""The questions with the answers of every column: one answer to each question, or an error that names the question.

A column is a file of hypotheses of one input kind: text that the LLM read (text, normalised, transcript, other_text), or speech
(speech, shuffled). All texts are composed here, so that judges need not do it.
"""

from dataclasses import dataclass, replace

from auralign.records import Question, RecordError, Records, Utterance, read_about
from auralign.text.characters import compose

REPAIR = "run stage 4 (decode) again"


@dataclass(frozen=True)
class MethodFiles:
    """The hypotheses of one method: for the utterance's own speech, and for another utterance's speech (the floor).

    `text_trained` are those of the trained LLM for the text; None if training does not change them, or stage 4 was run by an
    auralign that did not write them.
    """

    speech: Records
    shuffled: Records
    text_trained: Records | None = None


@dataclass(frozen=True)
class Item:
    """A question, the transcript and the cluster of its utterance, and the answers to it."""

    question: Question
    said: str
    answers: dict[str, str]  # input kind -> answer
    cluster: str = ""  # what is resampled, `Utterance.cluster`
    cut_off: frozenset[str] = frozenset()  # input kinds whose answer ends at the length limit


def other_builds(files) -> dict[str, str]:
    """The fact of a report that answers are of another build of the LLM or the encoder than the connector was trained with.

    `files` are Records of Hypothesis; empty if all answers are of the builds that were trained with.
    """
    told = {}
    for records in files:
        about, _ = read_about(records.path, records.kind)
        told |= {name: found["told"] for name, found in about.get("other_builds", {}).items()}
    return {"weights": "; ".join(told.values())} if told else {}


def read_items(questions: Records, manifest: Records, columns) -> list[Item]:
    """The questions, in file order, with their answers; the answer to the text is the reference of a question without one.

    Arguments
    ---------
    questions : Records of Question
    manifest : Records of Utterance
    columns : sequence of (input kind, Records of Hypothesis)

    Raises RecordError if a question has no answer in a column, an answer has no question or is of another input kind or about
    another utterance, or the manifest lacks an utterance.
    """
    asked = {question.key: question for question in questions}
    if not asked:
        raise RecordError(f"{questions.path}: holds no question; run stage 1 (prepare) again")
    answers = {kind: _read_column(records, kind, asked, questions.path) for kind, records in columns}
    return [
        Item(
            replace(
                question,
                reference=answers["text"][key][0]
                if question.reference is None
                else compose(question.reference),
            ),
            utterance.text,
            {kind: column[key][0] for kind, column in answers.items()},
            utterance.cluster,
            frozenset(kind for kind, column in answers.items() if column[key][1]),
        )
        for key, question in asked.items()
        for utterance in [_utterance_of(question, manifest, questions.path)]
    ]


def _read_column(records, kind, asked, asked_path) -> dict[str, tuple[str, bool]]:
    """Key of a question -> the answer, and whether it ends at the length limit."""
    column = {}
    for hypothesis in records:
        question = asked.get(hypothesis.key)
        if question is None:
            raise RecordError(
                f"{records.path}: answers {hypothesis.key!r}, which {asked_path} does not ask; {REPAIR}"
            )
        if hypothesis.input != kind:
            raise RecordError(
                f"{records.path}: the answer to {hypothesis.key!r} was given after {hypothesis.input}; "
                f"this column needs {kind}; {REPAIR}"
            )
        if hypothesis.utt_id != question.utt_id:
            raise RecordError(
                f"{records.path}: the answer to {hypothesis.key!r} is about utterance "
                f"{hypothesis.utt_id!r}; the question is about {question.utt_id!r}; {REPAIR}"
            )
        column[hypothesis.key] = compose(hypothesis.text), hypothesis.finish_reason == "length"
    for key in asked:
        if key not in column:
            raise RecordError(
                f"{records.path}: no answer after {kind} to the question {key!r} of {asked_path}; {REPAIR}"
            )
    return column


def _utterance_of(question, manifest, asked_path) -> Utterance:
    if question.utt_id not in manifest:
        raise RecordError(
            f"{manifest.path}: lacks utterance {question.utt_id!r}, which {asked_path} asks about; "
            "run stage 1 (prepare) again"
        )
    return read_utterance(manifest, question.utt_id)


def read_utterance(manifest: Records, utt_id: str) -> Utterance:
    """An utterance with its text composed, as texts are compared."""
    utterance = manifest[utt_id]
    return replace(utterance, text=compose(utterance.text))
