"""The HTML report: one file that a browser opens from a disk."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from auralign.ledger.build import judge_answers, make_ledger, read_methods
from auralign.ledger.page import NOT_RECORDED, format_duration, format_page
from auralign.ledger.report import write_report
from auralign.records import Records, Utterance, write_records

FACTS = {"seed": 1, "LLM": "tiny, revision 0", "command": "python score.py <b>"}
EVIL = '</script><script>document.title = "broken"</script><img src=x onerror="document.title=1"> مرحبا 🎉'
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Page(HTMLParser):
    """The elements of a page; fails if one is not closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def count(self, name):
        return sum(tag == name for tag, _ in self.tags)


def write(corpus, *, said="one two", stages=(), facts=FACTS, num_methods=2, seeds=("",)):
    """The page about a corpus in which every utterance says `said`."""
    utterances = [Utterance(utt_id, "x.wav", 1.0, said) for utt_id in "abcd"]
    write_records(corpus.folder / "test.jsonl", utterances, kind=Utterance)
    corpus.manifest = Records(corpus.folder / "test.jsonl", Utterance)
    read = {kind: corpus.answers(kind, "11111111") for kind in ("text", "transcript")}
    names = [f"m{n}{seed}" for n in range(num_methods) for seed in seeds]
    methods = {name: corpus.method(name, "1ttw11tt", "1-------") for name in names}
    items = read_methods(corpus.questions, corpus.manifest, read, methods)
    judged = judge_answers(items, corpus.judge)
    ledger = make_ledger(items, corpus.judge, seed=1, judged=judged)
    folder = corpus.folder / "report"
    write_report(
        folder,
        ledger,
        title=f"Digits {said}",
        facts=facts,
        judged=judged,
        manifest=corpus.manifest,
        stages=stages,
    )
    return folder / "report.html"


@pytest.fixture
def page(corpus):
    return write(corpus).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_loads_nothing_from_elsewhere(page):
    links = Page(page).links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "http" not in page.replace("http-equiv", "")


def test_headline_measures_come_first_with_interval_and_number(page):
    main = page[page.index("<main>") :]
    card = re.sub(r"\s+", " ", main[: main.index("</ul>")])
    assert "0.25" in card
    assert "no interval: 4 speakers" in card
    assert "unseen tasks: n = 4 questions" in card
    assert (
        main.index("Headline") < main.index("Picture") < main.index("Answers") < main.index("How it was made")
    )


def test_what_was_said_is_text_and_no_markup(corpus):
    text = write(corpus, said=EVIL).read_text(encoding="utf-8")
    page = Page(text)
    assert page.count("script") == 2  # the data and the script of the page
    assert page.count("img") == 1  # the picture
    assert "🎉" in text


def test_facts_are_escaped(page):
    assert "python score.py &lt;b&gt;" in page


def test_the_page_says_when_how_long_and_on_what_the_stages_ran(corpus):
    run = {
        "finished": "2026-02-03T04:05:06+00:00",
        "seconds": 75.0,
        "resumed": False,
        "commit": "abc123",
        "hardware": "EPYC, 2 cores",
        "versions": {"torch": "2.14.1"},
    }
    text = write(corpus, stages=[("3 train", run)]).read_text(encoding="utf-8")
    for shown in ("2026-02-03T04:05:06+00:00", "1 min 15 s", "abc123", "EPYC, 2 cores", "torch 2.14.1"):
        assert shown in text


def test_a_stage_of_an_earlier_auralign_is_not_recorded(corpus):
    text = write(corpus, stages=[("3 train", {})]).read_text(encoding="utf-8")
    row = text[text.index(">3 train<") :]
    assert row[: row.index("</tr>")].count(NOT_RECORDED) == 4


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"seconds": 3.04}, "3.0 s"),
        ({"seconds": 59.96}, "1 min 0 s"),
        ({"seconds": 7322}, "2 h 2 min 2 s"),
        ({"seconds": 5.0, "resumed": True}, "5.0 s after it was resumed; before that: not recorded"),
    ],
)
def test_durations_are_said_in_words(record, shown):
    assert format_duration(record) == shown


def test_a_page_without_cascade_tasks_and_answers_can_be_made(corpus):
    methods = {"m": corpus.method("m", "11111111", "--------")}
    items = read_methods(
        corpus.questions, corpus.manifest, {"text": corpus.answers("text", "11111111")}, methods
    )
    ledger = make_ledger(items, corpus.judge, seed=1)
    text = format_page(ledger, title="Bare", facts={}, picture=b"")
    assert Page(text).count("script") == 0
    assert "written without the single answers" in text
    assert "cascade" not in text[: text.index('<h2 id="tables-heading">')]


def test_a_lone_surrogate_breaks_nothing(ledger):
    odd = replace(ledger.examples[0], got="a\ud800b")
    text = format_page(replace(ledger, examples=(odd,)), title="Digits", facts={}, picture=b"")
    assert "a⟨U+D800⟩b" in text


def test_many_methods_have_few_cards_and_all_rows(corpus):
    text = write(corpus, num_methods=13).read_text(encoding="utf-8")
    assert text.count('<li class="card">') == 4
    assert "9 more methods are in the tables." in text


def test_the_runs_of_a_method_are_one_card_and_one_row(corpus):
    text = write(corpus, num_methods=5, seeds=(" seed_1", " seed_2")).read_text(encoding="utf-8")
    headline = text[text.index("Headline measures") : text.index('id="picture-heading"')]
    assert re.findall('<p class="card-name">(.*?)</p>', headline) == ["m0", "m1", "m2", "m3"]
    assert "1 more methods are in the tables." not in headline
    assert "1 more method is in the tables." in headline
    assert "n = 4 questions, 2 runs" in headline
    assert headline.count(">m0<") == 3  # a card, and a row for each of two groups


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: the page is not opened in a browser")
def test_a_browser_shows_the_answers_as_text(corpus, tmp_path):
    page = write(corpus, said=EVIL)
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=2000", "--dump-dom", f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "8 of 8 questions match." in done.stdout
    assert "<title>broken</title>" not in done.stdout
    assert "<title>1</title>" not in done.stdout
    shown = done.stdout[done.stdout.index('<ol id="list"') : done.stdout.index("</ol>")]
    assert shown.count("The audio file is absent: x.wav") == 8
    assert "&lt;/script&gt;&lt;script&gt;" in shown
    assert "<img" not in shown


def test_the_data_of_the_script_is_json(page):
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]
    assert len(json.loads(text)["rows"]) == 8
