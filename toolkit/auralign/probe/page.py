"""The page of a probe, in Markdown and as one HTML file, and the result for a terminal."""

import dataclasses
from pathlib import Path

from auralign.files import PathLike, write_atomically, write_json
from auralign.ledger.table import NOT_DEFINED, Table
from auralign.ledger.tables import format_interval, format_rate, format_speakers
from auralign.ledger.template import render_page
from auralign.probe.inputs import ORDERS
from auralign.probe.picture import draw_probe
from auralign.probe.summary import Probe, Share
from auralign.score.metrics import CONFIDENCE, MIN_SPEAKERS, Estimate
from auralign.text.characters import show_controls

JSON, MARKDOWN, HTML, PICTURE = "probe.json", "probe.md", "probe.html", "probe.png"
OVERVIEW = "overview"  # key of the table that the ledger shows
FILES = (JSON, MARKDOWN, HTML, PICTURE)
LEGEND = {
    "share of the speech": "of the saliency of the edges from the answer to the speech and to the instruction, the part to the "
    "speech: 0 is the instruction alone, 1 the speech alone; the mean over the questions. Saliency is the attention weight "
    "times the gradient of the answer's likelihood to it (arXiv:2305.14160, equation 1); the share is our definition",
    "summed": "over all edges; it grows with the number of positions of the speech",
    "mean": "per edge, so that connectors with different numbers of positions compare",
    "text": "the share of the original LLM's own answer, if it reads the text with each token repeated, so that it takes as many "
    "positions as the speech",
    "speech - text": "how much more of the answer is drawn from the speech than the LLM draws from the same text; above 0, the "
    "instruction counts less than it does with text",
    "CKA": "linear centred kernel alignment (arXiv:1905.00414, section 3) of mean hidden states of speech and of its text over "
    "the utterances; 1 is equal up to rotation, shift and scale. Its interval is the jackknife's over speakers",
    "chance": "CKA if the texts are permuted; with few utterances it is high, and only what is above it counts",
    "changed answers": "share of the original LLM's answers to text that the trained LLM does not repeat word for word",
    "nll": "negative log-likelihood of the original LLM's answers to text, in nats a token: before training, and after",
}


def write_probe(found: Probe, folder: PathLike) -> None:
    """Write a probe to a folder as PNG, Markdown, HTML and JSON."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw_probe(found, folder / PICTURE)
    pages = {MARKDOWN: format_markdown(found), HTML: format_html(found, (folder / PICTURE).read_bytes())}
    for name, text in pages.items():
        with write_atomically(folder / name) as file:
            file.write(show_controls(text))
    write_json(folder / JSON, {**found.to_dict(), OVERVIEW: dataclasses.asdict(overview_table(found))})


def title_of(found: Probe) -> str:
    """The heading."""
    return f"Probe of {found.facts['run']}"


def describe_result(found: Probe) -> str:
    """The result in words."""
    parts = []
    for order in ORDERS:
        chosen = [one for one in found.shares if (one.order, one.layer, one.weight) == (order, None, "mean")]
        parts += [
            f"{order}: the mean share of the speech is {format_rate(one.speech.value)}, that of the same text "
            f"{format_rate(one.text.value)}{_describe_difference(one)}"
            for one in chosen
        ]
    if found.similarities:
        first, last = found.similarities[0], found.similarities[-1]
        parts.append(
            f"CKA of speech and text is {format_rate(first.cka.value)} at the input (chance {format_rate(first.chance)}) and "
            f"{format_rate(last.cka.value)} at the last layer (chance {format_rate(last.chance)})"
        )
    if found.forgetting:
        parts.append(
            f"the trained LLM changed {format_rate(found.forgetting.changed.value)} of its answers to text"
        )
    return (
        "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "." if parts else "Nothing could be measured."
    )


def _describe_difference(share: Share) -> str:
    low, high = share.difference.low, share.difference.high
    if low is None or high is None:
        return f" ({format_speakers(share.difference)} speakers, too few for an interval)"
    return "" if low > 0 or high < 0 else " (chance may explain the difference)"


def overview_table(found: Probe) -> Table:
    """The few values that the ledger of the run shows."""
    values: dict[str, Estimate] = {}
    for one in found.shares:
        if (one.layer, one.weight) == (None, "mean"):
            values[f"mean share of the speech, {one.order}"] = one.speech
            values[f"minus that of the same text, {one.order}"] = one.difference
    if found.similarities:
        first, last = found.similarities[0], found.similarities[-1]
        values[f"CKA of speech and text at the input, chance {format_rate(first.chance)}"] = first.cka
        values[f"CKA of speech and text at the last layer, chance {format_rate(last.chance)}"] = last.cka
    if found.forgetting:
        values["nll of its answers to text, after - before"] = found.forgetting.difference
    headers = ("measure", "speakers", "value", f"{100 * CONFIDENCE:g} % interval")
    return Table(headers, [[name, format_speakers(one), *_show(one)] for name, one in values.items()], 1)


def overall_table(found: Probe) -> Table:
    """The shares of all layers: a row for each order and weight."""
    return _share_table([one for one in found.shares if one.layer is None], ("order", "share"))


def layer_table(found: Probe) -> Table:
    """The shares of each layer."""
    return _share_table([one for one in found.shares if one.layer is not None], ("order", "share", "layer"))


def _share_table(shares: list[Share], heads: tuple[str, ...]) -> Table:
    interval = f"{100 * CONFIDENCE:g} % interval"
    headers = (
        *heads,
        "questions",
        "speakers",
        *("speech", interval, "text", interval, "speech - text", interval),
    )
    rows = [
        [
            *(one.order, one.weight, str(one.layer))[: len(heads)],
            str(one.num_questions),
            format_speakers(one.speech),
            *_show(one.speech),
            *_show(one.text),
            *_show(one.difference),
        ]
        for one in shares
    ]
    return Table(headers, rows, num_texts=2)


def similarity_table(found: Probe) -> Table:
    """A row for each layer."""
    headers = ("layer", "speakers", "CKA", f"{100 * CONFIDENCE:g} % interval", "chance")
    rows = [
        [str(one.layer), format_speakers(one.cka), *_show(one.cka), format_rate(one.chance)]
        for one in found.similarities
    ]
    return Table(headers, rows, num_texts=0)


def forgetting_table(found: Probe) -> Table:
    """A row for each measure of forgetting; empty if training does not change the LLM's answers to text."""
    headers = ("the LLM with text", "speakers", "value", f"{100 * CONFIDENCE:g} % interval")
    if found.forgetting is None:
        return Table(headers, [], num_texts=1)
    names = {
        "changed": "changed answers",
        "before": "nll before",
        "after": "nll after",
        "difference": "nll after - before",
    }
    values = {name: getattr(found.forgetting, key) for key, name in names.items()}
    return Table(headers, [[name, format_speakers(one), *_show(one)] for name, one in values.items()], 1)


def _show(estimate: Estimate) -> tuple[str, str]:
    return format_rate(estimate.value), format_interval(estimate)


def _tables(found: Probe) -> list[tuple[str, Table]]:
    tables = [
        ("Flow into the answers, all layers", overall_table(found)),
        ("Similarity of speech and text", similarity_table(found)),
        ("Forgetting", forgetting_table(found)),
        ("Flow into the answers, by layer", layer_table(found)),
    ]
    return [(heading, table) for heading, table in tables if table.rows]


def _notes(found: Probe) -> list[str]:
    notes = [
        "Intervals are over speakers, then their utterances; where none is known, the recording counts as one, or the utterance. "
        f"There is none for fewer than {MIN_SPEAKERS} speakers ({NOT_DEFINED})."
    ]
    return [*notes, *found.notes]


def format_markdown(found: Probe) -> str:
    """The page in Markdown."""
    sections = [f"# {title_of(found)}", describe_result(found), f"![{title_of(found)}]({PICTURE})"]
    for heading, table in _tables(found):
        sections += [f"## {heading}", table.to_markdown()]
    sections += [
        "## How it was measured",
        "\n".join(f"- {name}: {value}" for name, value in found.facts.items()),
        "\n".join(f"- {note}" for note in _notes(found)),
        "\n".join(f"- **{name}**: {meaning}" for name, meaning in LEGEND.items()),
    ]
    return "\n\n".join(sections) + "\n"


def format_html(found: Probe, picture: bytes) -> str:
    """The page as HTML, with its style and the picture in it."""
    return render_page(
        title=title_of(found),
        result=describe_result(found),
        advice=[],
        picture=picture,
        tables=_tables(found),
        facts=found.facts,
        notes=_notes(found),
        legend=list(LEGEND.items()),
    )


def format_text(found: Probe) -> str:
    """The result for a terminal."""
    tables = [table.to_text() for heading, table in _tables(found) if not heading.endswith("by layer")]
    return "\n\n".join([*tables, describe_result(found), *found.notes])
