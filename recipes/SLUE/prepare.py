"""Stage 1: from the SLUE corpora to checked manifests, and the questions of the evaluation.

    python prepare.py hparams/sift.yaml --data /corpora/SLUE [--corpora "voxpopuli hvb"] [--test dev]

The folder holds the releases' own folders (slue-voxpopuli, slue-hvb, ...) or parquet copies of asapp/slue and
asapp/slue-phase-2 (voxpopuli, hvb, ...). Training is on the fine-tune splits, validation on dev, the test on test. Every
task is asked zero-shot, in five wordings that demand one strict format; the reference of a question is the right answer in
that format. The question of sqa5 is asked as text: its spoken form is a label (question_audio) and not used.

Reads: <data>
Writes: <data_folder>/{train,valid,test}.jsonl, what was rejected beside each, train.overlap.jsonl: training clips that a test
        set holds too, test.questions.jsonl, and corpus.json: how many of each part; <data_folder>/audio: what parquet holds
"""

from dataclasses import replace
from pathlib import Path

from auralign import script
from auralign.corpora import slue
from auralign.corpora.archives import HUB_DATA, fetch, is_half_unpacked
from auralign.corpora.slue.answers import read_answer
from auralign.corpora.slue.labels import DIALOG_ACTS
from auralign.corpora.slue.reading import PARQUET_SPLITS, PUBLISHED, read_slue
from auralign.data.rejected import Note, Rejection
from auralign.prepare import Source, listing, prepare, questions_about, read_options, recipe_parser, scripts
from auralign.records import RecordError, Utterance

RULES = sorted(Path(slue.__file__).parent.glob("*.py"))  # how the corpora are read and their answers judged
DEFAULT_CORPORA = "voxpopuli voxceleb hvb"
TASKS = {
    "voxpopuli": ("asr", "ner"),
    "voxceleb": ("asr", "sentiment"),
    "hvb": ("acts",),
    "sqa5": ("question",),
    "ted": ("title", "abstract"),
    "vp_nel": ("nel",),
}
GROUPS = {  # how a task is called in the ledger
    "asr": "transcripts",
    "ner": "named entities",
    "sentiment": "sentiments",
    "acts": "dialog acts",
    "question": "answers in the audio",
    "title": "titles",
    "abstract": "abstracts",
    "nel": "entities in the audio",
}
LABEL = {  # without it an utterance cannot be scored
    "voxpopuli": "entities",
    "voxceleb": "sentiment",
    "hvb": "dialog_acts",
    "sqa5": "answer_spans",
    "ted": "title",
    "vp_nel": "entity_spans",
}
MAY_BE_EMPTY = ("voxpopuli", "vp_nel")  # an utterance without entities
ZIPPED = ("voxpopuli", "voxceleb")
EVERY = 20  # if the test is on dev, every 20th utterance of fine-tune is for validation

RAW_TAGS = (
    "CARDINAL (number), DATE, EVENT, FAC (building, road), GPE (country, city), LANGUAGE, LAW, LOC (other place), MONEY, "
    "NORP (nationality, religious or political group), ORDINAL, ORG (organisation), PERCENT, PERSON, PRODUCT, "
    "QUANTITY (measure), TIME (of day), WORK_OF_ART"
)
COMBINED_TAGS = (
    "LAW, NORP (nationality, religious or political group), ORG (organisation), PERSON, PLACE, QUANT (number or amount), "
    "WHEN (date or time)"
)
ENTITIES = (
    "List the named entities of the speech, one a line, as TAG: phrase. Quote each phrase; answer none if there is none. "
    "Tags: {tags}.\n{speech}",
    "{speech}\nWhich named entities occur above? Write a line TAG: phrase for each, with the words as they are said, or only "
    "none. The tags: {tags}.",
    "Tag what is named here: {speech}\nUse {tags}.\nFormat: TAG: phrase, a line for each; without any, the word none.",
    "You label speech for a search index. Known tags are {tags}. For each entity in what follows write its tag, a colon and "
    "its very words on a line of their own; if there are none, write none.\n{speech}",
    "Allowed tags: {tags}.\nInput: {speech}\nOutput: lines of the form TAG: phrase, nothing else; none where nothing is named.",
)
ACTS = ", ".join(
    {
        "acknowledge": "acknowledge (understood)",
        "answer_agree": "answer_agree (yes)",
        "answer_dis": "answer_dis (no)",
        "answer_general": "answer_general (gives what was asked)",
        "question_check": "question_check (asks to confirm)",
        "self": "self (talks to oneself)",
        "statement_open": "statement_open (greets, opens)",
        "statement_problem": "statement_problem (why one calls)",
    }.get(act, act)
    for act in DIALOG_ACTS
)
PROMPTS = {
    "asr": (
        "Please transcribe this: {speech}",
        "Write down what was said, in lower case, without punctuation, and nothing else: {speech}",
        "What did the speaker say?\n{speech}",
        "{speech}\nRepeat the sentence above word for word.",
        "Output format: the spoken words in lower case, separated by single spaces. Input: {speech}",
    ),
    "ner": tuple(text.replace("{tags}", RAW_TAGS) for text in ENTITIES),
    "nel": tuple(text.replace("{tags}", COMBINED_TAGS) for text in ENTITIES),
    "sentiment": (
        "What is the sentiment of the speaker? Answer with one word: Positive, Neutral or Negative.\n{speech}",
        "{speech}\nIs that Positive, Neutral or Negative? Give the one word.",
        "Classify the sentiment of this interview clip as Positive, Neutral or Negative, and say no more: {speech}",
        "How does the person feel about it? {speech}\nReply Positive, Neutral or Negative.",
        "Labels: Positive, Neutral, Negative.\nInput: {speech}\nOutput: the label alone.",
    ),
    "acts": tuple(
        text.replace("{acts}", ACTS)
        for text in (
            "Somebody talks to a bank on the telephone. Which dialog acts has this turn? List all that fit, with commas "
            "between: {acts}.\n{speech}",
            "{speech}\nName the dialog acts of the turn above. Choose from {acts}. Answer with their names and commas, "
            "nothing else.",
            "Acts: {acts}.\nLabel this turn with one or more of them, separated by commas: {speech}",
            "What does the speaker do in this turn of a call? {speech}\nAnswer with a comma separated list from: {acts}.",
            "Allowed labels: {acts}.\nInput: {speech}\nOutput: every label that applies, comma separated, no other words.",
        )
    ),
    "question": (
        "{speech}\nQuestion: {question}\nAnswer by quoting the words of the speech that say it, and nothing else.",
        "Listen: {speech}\n{question}\nGive the shortest piece of it that answers, word for word.",
        "Question: {question}\nFind the answer in what follows and copy its exact words only.\n{speech}",
        "Which words of this recording answer the question '{question}'? Reply with those words alone.\n{speech}",
        "Input: {speech}\nQuestion: {question}\nOutput: a quotation of a few words from the input.",
    ),
    "title": (
        "Give this talk a title. Write the title only.\n{speech}",
        "{speech}\nWhat would be a good title for the talk above? Answer with it alone.",
        "You publish talks on the web. Put a title to this one, without quotes or comment: {speech}",
        "In one short line, the headline of this talk: {speech}",
        "Input: a talk. {speech}\nOutput: its title, nothing else.",
    ),
    "abstract": (
        "Write the abstract of this talk in two or three sentences, and nothing else.\n{speech}",
        "{speech}\nSum up the talk above in at most three sentences.",
        "You publish talks on the web. Describe this one to visitors in two or three sentences: {speech}",
        "In three sentences at most, what is this talk about? {speech}",
        "Input: a talk. {speech}\nOutput: its abstract of two or three sentences, without a title.",
    ),
}


def main(argv):
    parser = recipe_parser(__doc__)
    parser.add_argument(
        "--corpora",
        default=DEFAULT_CORPORA,
        help=f"of {', '.join(PUBLISHED)}; or all (default: {DEFAULT_CORPORA})",
    )
    parser.add_argument(
        "--test",
        default="test",
        choices=["test", "dev", "verified-test"],
        help="what is tested on; with dev, every 20th utterance of fine-tune is for validation (default: test)",
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="fetch slue-voxpopuli and slue-voxceleb, whose test sets are blind",
    )
    options, recipe = read_options(argv, parser)
    corpora = parse_corpora(options.corpora)
    if options.download:
        download(options.data, corpora)
    # Beside the manifests; parquet holds the audio itself.
    audio_folder = Path(recipe.data_folder) / "audio"
    trained_on = [corpus for corpus in corpora if "fine-tune" in PUBLISHED[corpus]]
    if not trained_on:
        raise ValueError(
            "--corpora vp_nel: it has no fine-tune split; name one beside it to train on, as voxpopuli"
        )
    for corpus in corpora:
        check_test(options, corpus, audio_folder)

    def source(corpus, split, *, part=None, scored=False):
        def read():
            items = read_corpus(options.data, corpus, split, audio_folder)
            items = scorable(items, corpus) if scored else every_document(items, corpus)
            return items if part is None else take(items, part)

        whole = part is None and (scored or corpus != "sqa5")  # its documents are trained on once each
        return Source(corpus, read, PUBLISHED[corpus][split] if whole else None)

    if options.test == "dev":
        train = [source(corpus, "fine-tune", part="train") for corpus in trained_on]
        valid = [source(corpus, "fine-tune", part="valid") for corpus in trained_on]
    else:
        train = [source(corpus, "fine-tune") for corpus in trained_on]
        valid = [source(corpus, "dev") for corpus in trained_on]
    prepare(
        recipe,
        {
            "train": train,
            "valid": valid,
            "test": [source(corpus, options.test, scored=True) for corpus in corpora],
        },
        Questions(options.phrasings),
        options=options,
        inputs={
            "corpora": {corpus: listing(*folders(options.data, corpus)) for corpus in corpora},
            "scripts": scripts(__file__, *RULES),
        },
    )


def parse_corpora(text):
    """The corpora of --corpora, in the order of the papers."""
    words = text.replace(",", " ").split()
    unknown = [word for word in words if word not in (*PUBLISHED, "all")]
    if unknown or not words:
        raise ValueError(
            f"--corpora: no corpus {(unknown or [''])[0]!r}; there are {', '.join(PUBLISHED)}, or all"
        )
    return [corpus for corpus in PUBLISHED if corpus in words or "all" in words]


def folders(data, corpus):
    """The files of a corpus that are there, in either form.

    Raises FileNotFoundError if nothing does.
    """
    names = [
        corpus,
        f"slue-{corpus}",
        *(f"slue-{corpus}_{split}" for split in (*PARQUET_SPLITS, "test_blind")),
    ]
    found = [data / name for name in names if (data / name).is_dir()]
    if not found:
        there = [name for name in PUBLISHED if any(data.glob(f"slue-{name}*/")) or (data / name).is_dir()]
        hint = f'--corpora "{" ".join(there)}" is what is there' if there else "is --data the right folder?"
        raise FileNotFoundError(f"no slue-{corpus} and no {corpus} in {data}; {hint}")
    return found


def download(data, corpora):
    """Fetch what has archives; say how the rest is to be had."""
    data.mkdir(parents=True, exist_ok=True)
    wanted = [
        corpus
        for corpus in corpora
        if corpus in ZIPPED and (not is_there(data, corpus) or is_half_unpacked(f"slue-{corpus}", data))
    ]
    fetch([f"slue-{corpus}" for corpus in wanted], data)
    for corpus in wanted:
        print(
            f"slue-{corpus}: its test set is blind; test on dev (--test dev), or get the labels: {hub_command(corpus, data)}"
        )
    missing = [corpus for corpus in corpora if corpus not in ZIPPED and not is_there(data, corpus)]
    if missing:
        commands = " && ".join(dict.fromkeys(hub_command(corpus, data) for corpus in missing))
        raise FileNotFoundError(
            f"{', '.join(missing)}: not to be had as an archive; run {commands} and then this again"
        )


def is_there(data, corpus):
    try:
        return bool(folders(data, corpus))
    except FileNotFoundError:
        return False


def hub_command(corpus, data):
    """What fetches a corpus with its labels from the Hugging Face hub."""
    found = next(entry for entry in HUB_DATA.values() if corpus in entry.configurations)
    revision = f" --revision {found.revision}" if found.revision else ""
    return f"hf download --repo-type dataset {found.repository}{revision} --include '{corpus}/*' --local-dir {data}"


def read_corpus(data, corpus, split, audio_folder):
    """The utterances of a split, with ids that no other corpus has: corpus/id."""
    for item in read_slue(data, corpus, split, audio_folder=audio_folder):
        yield replace(item, id=f"{corpus}/{item.id}") if isinstance(item, (Utterance, Rejection)) else item


def check_test(options, corpus, audio_folder):
    """Stop early if the test set of a corpus is not there, or blind."""
    folders(options.data, corpus)
    repair = f"test on dev (--test dev), or get the labels: {hub_command(corpus, options.data)}"
    try:
        items = read_corpus(options.data, corpus, options.test, audio_folder)
        first = next((item for item in items if isinstance(item, Utterance)), None)
    except RecordError as error:
        raise ValueError(f"{error}; {repair}") from error
    if first is not None and LABEL[corpus] not in first.labels:
        raise ValueError(
            f"{corpus}: its {options.test} set is blind, that is without labels to score by; {repair}"
        )


def scorable(items, corpus):
    """Without what no answer could be scored on: rejected, with the reason."""
    for item in items:
        if not isinstance(item, Utterance):
            yield item
        elif LABEL[corpus] not in item.labels:
            yield Rejection(item.id, "without labels")
        elif not item.labels[LABEL[corpus]] and corpus not in MAY_BE_EMPTY:
            yield Rejection(item.id, f"no {LABEL[corpus].replace('_', ' ').removesuffix('s')}")
        elif not all(reads_back(item, task) for task in TASKS[corpus]):
            yield Rejection(item.id, "label outside the answer format", str(item.labels[LABEL[corpus]]))
        else:
            yield item


def reads_back(utterance, task):
    """Whether the reader of a task finds in its right answer what the label holds."""
    reference, labels = references(utterance).get(task, ""), utterance.labels
    if task in ("ner", "nel"):
        found = read_answer(task, reference)
        return found is not None and [tag for tag, _ in found] == [tag for tag, _ in labels["entities"]]
    if task == "acts":
        return read_answer(task, reference) == tuple(dict.fromkeys(labels["dialog_acts"]))
    if task in ("title", "abstract"):
        return any(letter.isascii() and letter.isalnum() for letter in reference)  # as ROUGE reads
    return task == "asr" or read_answer(task, reference) is not None


def every_document(items, corpus):
    """One utterance of each document: of several questions about it, the first."""
    seen, num_more = set(), 0
    for item in items:
        document = item.labels.get("document_id") if isinstance(item, Utterance) else None
        if document in seen:
            num_more += 1
            continue
        if document is not None:
            seen.add(document)
        yield item
    if num_more:
        yield Note(f"of {corpus} are about a document that is there already, and left out", num_more)


def take(items, part):
    """Utterances for validation, every 20th from the first, or for training, the others."""
    number = 0
    for item in items:
        if not isinstance(item, Utterance):
            if part == "train":  # what was rejected is listed once
                yield item
            continue
        if (number % EVERY == 0) == (part == "valid"):
            yield item
        number += 1


def references(utterance):
    """The right answers to the tasks of an utterance, in the format that is asked for."""
    labels = utterance.labels
    found = {"asr": utterance.text}
    if "entities" in labels:
        lines = [f"{tag}: {phrase}" for tag, phrase in labels["entities"]]
        found["ner"] = found["nel"] = "\n".join(lines) or "none"
    if "dialog_acts" in labels:
        found["acts"] = ", ".join(labels["dialog_acts"])
    if labels.get("answers"):
        found["question"] = labels["answers"][0]
    found.update({name: labels[name] for name in ("sentiment", "title", "abstract") if name in labels})
    return found


class Questions:
    """What is asked about the test sets: the tasks of its corpus about every utterance."""

    def __init__(self, num_phrasings):
        self.num_phrasings = num_phrasings

    def __call__(self, manifest):
        for utterance in manifest:
            corpus = utterance.labels["subset"]
            for task in TASKS[corpus]:
                phrasings = PROMPTS[task][: self.num_phrasings]
                if task == "question":
                    asked = utterance.labels["question"].replace("{", "(").replace("}", ")")  # slots are ours
                    phrasings = [text.replace("{question}", asked) for text in phrasings]
                yield from questions_about(
                    utterance,
                    group=f"{corpus}: {GROUPS[task]}",
                    task=task,
                    phrasings=phrasings,
                    reference=references(utterance)[task],
                )


if __name__ == "__main__":
    script.run(main)
