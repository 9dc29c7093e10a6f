"""Stage 5: the metrics of the SLUE tasks beside the gap ledger.

    python score.py hparams/sift.yaml [hparams/blsp.yaml ...] [--score_folder exp/ledger]

Answers are read by tolerant readers, which never guess: one that cannot be read is wrong, stays in every metric, and is
counted as "not read". If a task asks for a span of the audio (sqa5, vp_nel), the words that an answer quotes are located
first, in the audio of the utterance asked about, by forced alignment with the recipe's recognizer; a quote that cannot be
located scores 0, and is counted as "quote not located". The spans are kept, so that a quote is located once.

One YAML a method. Methods that share `data_folder`, `text_folder`, `score_folder`, `seed` and the LLM can be compared.

Reads: <data_folder>/test.jsonl, test.questions.jsonl; <text_folder>/hypotheses/, and of each method
       <output_folder>/hypotheses/ and targets/train.jsonl; <encoder_folder>/normalizer.json (Whisper's spellings), if it is
Writes: <score_folder>/scores.json, report.html, report.md, ledger.png; beside the hypotheses test.<column>.places.jsonl
"""

from functools import cache, lru_cache
from pathlib import Path

from auralign import __version__, script
from auralign.align import locator
from auralign.corpora import slue
from auralign.corpora.slue.answers import SPAN_TASKS, is_marked, quotes, read_answer
from auralign.corpora.slue.metrics import answer_score, list_metrics
from auralign.corpora.slue.places import places_path, read_places, write_places
from auralign.fingerprint import describe
from auralign.ledger.recipe import Comparison, score_recipe
from auralign.records import Hypothesis, Question, Records, Utterance
from auralign.score.judge import Judge, classify_transcript
from auralign.score.obey import is_transcription
from auralign.score.recognition import find_spellings, word_accuracy
from auralign.score.task_metrics import WordErrorRate
from auralign.stage import Stage, content
from auralign.text.forms import normalised_form, raw_form
from auralign.text.words import words

RULES = sorted(Path(slue.__file__).parent.glob("*.py"))  # how answers are read, located and scored
LONG = 8  # words of an answer in a row that are in the speech too: it was transcribed, not answered
CLOSED = ("ner", "nel", "sentiment", "acts")  # tasks whose answers have a form of their own
ALIKE = {"nel": "ner"}  # to tell names and to locate them are one task here
NOTES = (
    "All columns are answers of the same frozen LLM to the same questions.",
    "All tasks are zero-shot: nothing was trained on their labels. Published figures of models trained on them are another task.",
    'Answers that cannot be read are wrong and stay in every metric; "not read" says how many they are.',
    "The question of sqa5 is read as text, the document is speech; published systems take both as speech.",
    "Spans (sqa5, vp_nel): the words that an answer quotes are located by forced alignment with the recipe's own recognizer, "
    'in the audio of the utterance asked about, whatever the LLM was given; "quote not located" says how often that failed, '
    "which scores 0. The notes of the metrics say what the right words, located so, score.",
    "The ledger scores answer by answer: the share of right words (asr), F1 of the entities or acts of one utterance (1 if "
    "there are none and none are named), a sentiment right or wrong, frame-F1 of a quote, ROUGE-L of a title or abstract. "
    "Entities in the audio count in the ledger by tag and words; their spans, without tags, in the metrics.",
)


class SlueJudge(Judge):
    """What an answer to each task is worth.

    Arguments
    ---------
    manifest : Records
        Of Utterance.
    places : dict
        (utterance id, quote) to its span.
    spellings : path, optional
        British to American, as Whisper's normaliser has them.
    """

    metric = "scores of answers"
    is_right = None  # the readers ignore the form already

    def __init__(self, manifest, places, spellings=None):
        self.manifest, self.places = manifest, places
        self.raw, self.normalised = raw_form("en"), normalised_form("en", spellings)

    def score(self, answer, question, said):
        if question.task == "asr":
            return self.accuracy(said, answer)
        return self.worth(answer, question.task, question.reference, question.utt_id)

    @lru_cache(maxsize=2**16)  # noqa: B019 - one judge a run; the columns share their references
    def accuracy(self, said, answer):
        return word_accuracy(self.normalised, said, answer)

    @lru_cache(maxsize=2**16)  # noqa: B019
    def worth(self, answer, task, reference, utt_id):
        return answer_score(task, answer, reference, self.manifest[utt_id], self.places)

    def classify(self, answer, question, said):
        if question.task == "asr":
            return classify_transcript(answer, said, self.accuracy(said, answer))
        # SLUE's marks stand in the transcript: it is an answer, not a copy.
        is_marked_up = question.task in ("ner", "nel") and is_marked(answer)
        if repeats(answer, said) and not is_marked_up:
            return "transcribed"
        if read_answer(question.task, answer) is not None:
            return "wrong content"
        others = (task for task in CLOSED if ALIKE.get(task, task) != ALIKE.get(question.task, question.task))
        return "wrong task" if any(read_answer(task, answer) for task in others) else "other"

    def metrics(self, group, task):
        if task == "asr":
            return WordErrorRate(self.raw, "WER raw"), WordErrorRate(self.normalised, "WER normalised")
        return list_metrics(task, self.places)


def repeats(answer, said):
    """Whether an answer writes down what was said: all of it, or a long piece."""
    if is_transcription(answer, said):
        return True
    written, spoken = words(answer), words(said)
    inside = f" {' '.join(written)} " in f" {' '.join(spoken)} "
    around = f" {' '.join(spoken)} " in f" {' '.join(written)} "
    return (inside and len(written) >= LONG) or (around and len(spoken) >= LONG)


def locate_answers(runs):
    """(utterance id, quote) to its span, for all answers to the span tasks, and the files that hold it."""
    recipe, data = runs.recipe, runs.first.data
    paths = [data.manifest("test"), data.questions]
    hashes = {path.name: content(path, made_by="stage 1 (prepare)") for path in paths}
    manifest, questions = Records(paths[0], Utterance), Records(paths[1], Question)
    asked = {question.key: question for question in questions if question.task in SPAN_TASKS}
    if not asked:
        return {}, []
    inputs = {
        "auralign": __version__,
        "listening": describe({"encoder": recipe.encoder, "recognizer": recipe.recognizer}),
        "rules": [content(path, made_by="git checkout") for path in RULES],
        **hashes,
    }
    answered = [*runs.texts().values(), *(path for pair in runs.columns().values() for path in pair)]
    listen = cache(
        lambda: locator(recipe, manifest, path=recipe.source.path)
    )  # built when the first quote needs it
    known, written = {}, []
    for path in answered:
        kind = path.stem.removeprefix("test.")
        answers = content(path, made_by="stage 4 (decode)")
        output = places_path(path)
        with Stage(
            f"locate {kind}",
            path.parent,
            inputs={**inputs, "answers": answers},
            outputs=[output],
        ) as stage:
            if not stage.complete:
                wanted = wanted_quotes(asked, Records(path, Hypothesis), with_references=kind == "text")
                write_places(
                    output,
                    wanted,
                    lambda utt_id, phrases: listen()(utt_id, phrases),
                    known,
                    partial=stage.partial(output),
                )
        found = read_places(output)
        known.update(found)
        written.append(output)
        if not stage.complete:
            failed = sum(span is None for span in found.values())
            print(f"{stage.name}: {len(found)} quotes, {failed} of them could not be located, in {output}")
    return known, written


def wanted_quotes(asked, answers, *, with_references):
    """Utterance to the phrases that answers quote; with those of the right answers, by which the rule itself is measured."""
    found = {}
    for hypothesis in answers:
        question = asked.get(hypothesis.key)
        if question is None:
            continue
        texts = [hypothesis.text, *([question.reference] if with_references else [])]
        for text in texts:
            found.setdefault(question.utt_id, []).extend(quotes(question.task, text))
    return {utt_id: list(dict.fromkeys(phrases)) for utt_id, phrases in found.items()}


def main(argv):
    runs = Comparison.of_arguments(argv, doc=__doc__)
    places, files = locate_answers(runs)
    spellings = find_spellings(runs.recipe)
    manifest = Records(runs.first.data.manifest("test"), Utterance)
    score_recipe(
        runs,
        title="SLUE",
        judge=SlueJudge(manifest, places, spellings),
        files=[__file__, *RULES, *files, *([spellings] if spellings else [])],
        notes=NOTES,
    )


if __name__ == "__main__":
    script.run(main)
