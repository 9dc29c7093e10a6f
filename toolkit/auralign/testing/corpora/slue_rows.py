"""The rows of the look-alikes of SLUE, before they are written in one form or another: one table, read from top to bottom.

`find` gives spans [tag, start, length]; words of sqa5 and vp_nel take 0.1 s each.
"""

from collections.abc import Iterator, Sequence
from typing import Any

Row = dict[str, Any]  # column to cell
Entities = Sequence[tuple[str, str]]  # tag and phrase


def find(text: str, *entities: tuple[str, str]) -> list[list[Any]]:
    """[tag, first character, number of characters] of each (tag, phrase), one behind the other."""
    spans, start = [], 0
    for tag, phrase in entities:
        start = text.index(phrase, start)
        spans.append([tag, start, len(phrase)])
        start += len(phrase)
    return spans


def _voxpopuli(
    identity: str,
    raw: str,
    normalized: str,
    speaker: str = "9",
    *,
    raw_ner: Entities = (),
    ner: Entities = (),
) -> Row:
    return {
        "id": identity,
        "raw_text": raw,
        "normalized_text": normalized,
        "speaker_id": speaker,
        "raw_ner": find(raw, *raw_ner),
        "normalized_ner": find(normalized, *ner),
    }


TWO = (("CARDINAL", "two"), ("CARDINAL", "two"))
UNION = (("GPE", "malta"), ("ORG", "union"), ("LOC", "europe"))
VOXPOPULI = {
    "fine-tune": [
        _voxpopuli("20131007-0900-PLENARY-19-en_20131007-21:26:04_7", "Two, two, two.", "two two two", ner=TWO),
        _voxpopuli(
            "20131007 plenary_8", '"Yes", Malta, the union\'s part of Europe.', "yes malta the union's part of europe",
            "", raw_ner=(("GPE", "Malta"), ("ORG", "union"), ("LOC", "Europe")), ner=UNION,
        ),
        _voxpopuli("discard_1", "He spoke French", "he spoke french", ner=(("LANGUAGE", "french"),)),
        _voxpopuli("none_1", "Thank you.", "thank you", "None"),
        _voxpopuli("offsets_1", "On 5 May Parliament voted.", "on five may parliament voted",
                   raw_ner=(("DATE", "5 May"), ("ORG", "Parliament")),
                   ner=(("DATE", "five may"), ("ORG", "parliament"))),
        _voxpopuli("silent_1", "", ""),
    ],
    "dev": [
        _voxpopuli("dev_1", "We met in Rome.", "we met in rome", ner=(("GPE", "rome"),)),
        _voxpopuli("dev_2", "On Monday.", "on monday", ner=(("DATE", "monday"),)),
        _voxpopuli("cut_1", "Cut.", "cut") | {"normalized_ner": "[['LAW', 0"},
        _voxpopuli("far_1", "Far.", "far") | {"normalized_ner": [["LAW", 0, 40]]},
    ],
    "test": [
        _voxpopuli("test_1", "Ten members left.", "ten members left", ner=(("CARDINAL", "ten"),)),
        _voxpopuli("test_2", "Germany and France", "germany and france", ner=(("GPE", "germany"), ("GPE", "france"))),
        _voxpopuli("test_3", "I disagree", "i disagree"),
        _voxpopuli("test_4", "In June", "in june", ner=(("DATE", "june"),)),
    ],
}  # fmt: skip


def _voxceleb(
    identity: str, text: str, sentiment: str, start: float = 0.2, end: float = 0.8, speaker: str = "id10012"
) -> Row:
    return {
        "id": identity,
        "normalized_text": text,
        "speaker_id": speaker,
        "sentiment": sentiment,
        "start_second": start,
        "end_second": end,
    }


VOXCELEB = {  # each file is 1 s long
    "fine-tune": [
        _voxceleb("id10012_0AXjxNXiEzo_00001", "i love it", "Positive"),
        _voxceleb("id 2:b", 'he said, "never again"', "Negative", 0.0, 1.0),
        _voxceleb("id3_late", "it was fine", "Neutral", 0.5, 1.04, speaker=""),
        _voxceleb("id4", "we won", "Positive"),
        _voxceleb("id5_mixed", "good and bad", "<mixed>"),
        _voxceleb("id6_behind", "and then", "Neutral", 0.5, 1.3),
    ],
    "dev": [  # whose files are cut
        _voxceleb("dev1", "great", "Positive"),
        _voxceleb("dev2", "it is on monday", "Neutral"),
        _voxceleb("dev3_disagreement", "well", "Disagreement"),
        _voxceleb("dev4_unknown", "oh", "Happy"),
    ],
    "test": [
        _voxceleb("test1", "so sad", "Negative"),
        _voxceleb("test2", "lovely", "Positive", 0.0, 0.6),
        _voxceleb("test3", "yes", "Neutral"),
        _voxceleb("test4_silent", "", "Neutral"),
    ],
}


def _hvb(
    issue: str, index: int, text: str, acts: list[str] | str, start: int = 1200, channel: int = 1
) -> Row:
    return {
        "issue_id": issue,
        "utt_index": index,
        "channel": channel,
        "role": "caller" if channel == 1 else "agent",
        "start_ms": start,
        "duration_ms": 500,
        "text": text,
        "dialog_acts": acts,
    }


HVB = {
    "fine-tune": [
        _hvb("00b8e1", 1, "hello this is harper valley bank", ["statement_open", "question_general"], channel=2),
        _hvb("00b8e1", 2, "hi", ["acknowledge"], 2000),
        _hvb("00b8e1", 3, "thank you, [noise] \"bye\"", ["thanks", "statement_close"], 4000),
        _hvb("issue 2:a", 1, "uh", ["disfluency"]),
        _hvb("issue 2:a", 2, "nan", ["other"], 2000),
        _hvb("issue 2:a", 3, "okay", "['acknowledge'", 3000),
    ],
    "dev": [
        _hvb("dev", 1, "my card is lost", ["statement_problem"]),
        _hvb("dev", 2, "right", ["backchannel", "acknowledge"], 2000),
        _hvb("dev", 3, "right", ["chat"], 3000),
        _hvb("dev", 4, "the other channel", ["self"], 1200, channel=2),
    ],
    "test": [
        _hvb("test", 1, "what day", ["question_check"]),
        _hvb("test", 2, "friday", ["answer_general"], 2000),
        _hvb("test", 3, "no", ["answer_dis"], 3000),
        _hvb("test", 4, "yes", ["answer_agree"], 4000),
    ],
}  # fmt: skip

# id: (text as it is written, word for word; as it is said; whether it has word2time). A comma and a full stop are untimed.
DOCUMENTS: dict[str, tuple[list[str], list[str] | None]] = {
    "Cheese_45": ("Cheese , of 3 kinds .".split(), "cheese - of three kinds -".split()),
    "Chicago 1:a": ("In Chicago and Paris .".split(), "in chicago and paris -".split()),
    "Untimed_1": ("Oslo is cold".split(), "oslo - cold".split()),
    "Unaligned_1": ("Lima is warm".split(), None),
    "Broken_1": ("Rome is old".split(), "rome is old".split()),
}


def _sqa5(question: str, text: str, document: str, *answers: tuple[str, int, int]) -> Row:
    """`answers` are (phrase, first word, last word), counted in the document's words."""
    written, said = DOCUMENTS[document]
    words = [
        word.lower() if norm == "-" else norm.lower()
        for word, norm in zip(written, said or written, strict=True)
    ]
    return {
        "question_id": question,
        "raw_question_text": text,
        "normalized_question_text": text.lower().strip('?"'),
        "question_speaker_id": "7",
        "document_id": document,
        "raw_document_text": " ".join(written),
        "normalized_document_text": " ".join(word for word in words if word not in ",."),
        "document_speaker_id": "None",
        "answer_spans": [
            [phrase, round(0.1 * first, 2), round(0.1 * last + 0.1, 2)] for phrase, first, last in answers
        ],
    }


SQA5 = {
    "fine-tune": [
        _sqa5("nq-train-1:2", "How many kinds?", "Cheese_45", ("three", 3, 3)),
        _sqa5("nq train 2", "Which cities?", "Chicago 1:a", ("chicago", 1, 1), ("paris", 3, 3)),
        _sqa5("tabs", "Which\ttown?", "Chicago 1:a", ("chicago", 1, 1))
        | {"normalized_question_text": "which town"},
        _sqa5("open", '"Cheese of what?', "Cheese_45", ("three kinds", 3, 4)),
        _sqa5("shifted", "What?", "Cheese_45", ("three", 3, 3)),
        _sqa5("cut", "Why?", "Cheese_45") | {"answer_spans": '[["three", 0.3'},
    ],
    "dev": [
        _sqa5("dev1", "Where is it cold?", "Untimed_1", ("oslo", 0, 0)),
        _sqa5("dev2", "Where is it warm?", "Unaligned_1", ("lima", 0, 0)),
        _sqa5("dev3", "What is old?", "Broken_1", ("rome", 0, 0)),
        _sqa5("dev4", "Where?", "Chicago 1:a", ("paris", 3, 3)) | {"document_id": "Gone_1"},
    ],
    "test": [
        _sqa5("test1", "Of what?", "Cheese_45", ("kinds", 4, 4)),
        _sqa5("test2", "Where?", "Chicago 1:a", ("paris", 3, 3)),
        _sqa5("test3", "Where?", "Untimed_1", ("oslo", 0, 0)),
        _sqa5("test4", "Backwards?", "Cheese_45") | {"answer_spans": [["three", 0.4, 0.3]]},
    ],
}


def _ted(identity: str, transcript: str, title: str, abstract: str, speaker: str = "Ann Lee") -> Row:
    return {
        "id": identity,
        "transcript": transcript,
        "speaker": speaker,
        "title": title,
        "abstract": abstract,
    }


TED = {
    "fine-tune": [
        _ted("Ann_Lee_1", "we need ears", "Ears, and \"hearts\"", "A talk on ears."),
        _ted("Bo:2 talk", "we need maps", "Maps", "On maps:\nold and new.", speaker=""),
        _ted("Cy_3", "we need time", "Time", "On time."),
        _ted("Di_4", "we need rest", "Rest", "On rest."),
        _ted("Ed_5", "", "Nothing", "On nothing."),
        _ted("Fi_6", "gone", "Gone", "There is no file."),
    ],
    "dev": [_ted(f"dev_{word}", f"we need {word}", word.title(), f"On {word}.") for word in ("rain", "sun", "wind", "sea")],
    "test": [_ted(f"test_{word}", f"we need {word}", word.title(), f"On {word}.") for word in ("art", "law", "math", "soil")],
}  # fmt: skip


def _vp_nel(identity: str, text: str, *entities: tuple[str, str], said: list[str] | None = None) -> Row:
    """`entities` are (tag, phrase); `said` are the words of the alignment, 0.1 s each, "" for silence."""
    words = ["", *(text.lower().strip(".").split() if said is None else said)]
    spans = []
    for tag, start, length in find(text, *entities):
        first = len(text[:start].split()) + 1
        spans.append(
            [
                tag,
                start,
                length,
                round(0.1 * first, 2),
                round(0.1 * (first + len(text[start : start + length].split())), 2),
            ]
        )
    return {
        "id": identity,
        "text": text,
        "speaker_id": "9",
        "word_timestamps": [[word, round(0.1 * number, 2), round(0.1 * number + 0.1, 2)] for number, word in enumerate(words)],
        "ne_timestamps": spans,
    }  # fmt: skip


VP_NEL = {
    "dev": [
        _vp_nel("nel:dev 1", "We met in New York", ("PLACE", "New York")),
        _vp_nel("nel_dev_2", "Ten left.", ("QUANT", "Ten")),
        _vp_nel("nel_dev_3", "Thank you.", said=["thanks"]),
        _vp_nel("nel_dev_4", "Far.") | {"ne_timestamps": [["PLACE", 2, 9, 0.1, 0.2]]},
    ],
    "test": [
        _vp_nel("nel_test_1", "Malta and Rome", ("PLACE", "Malta"), ("PLACE", "Rome")),
        _vp_nel("nel_test_2", "Nobody spoke."),
        _vp_nel("nel_test_3", "In June", ("WHEN", "June")),
        _vp_nel("nel_test_4", "I agree"),
    ],
}
SLUE = {"voxpopuli": VOXPOPULI, "voxceleb": VOXCELEB, "hvb": HVB, "sqa5": SQA5, "ted": TED, "vp_nel": VP_NEL}
SECONDS = {"voxpopuli": 0.5, "voxceleb": 1.0, "hvb": 0.5, "sqa5": 0.8, "ted": 0.8, "vp_nel": 0.8}
SPLITS = {"fine-tune": "train", "dev": "validation", "test": "test"}  # name in a release to name in parquet


def word2time(document: str) -> Iterator[tuple[list[str], list[float]]]:
    """([word as it is written, as it is said], [start, end], [] for a word without times) of a document's words."""
    written, said = DOCUMENTS[document]
    for number, word in enumerate(zip(written, said or (), strict=True)):
        yield list(word), [round(0.1 * number, 2), round(0.1 * number + 0.1, 2)] if word[1] != "-" else []
