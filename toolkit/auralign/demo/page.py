"""The page: ask about speech, read sentences aloud, look at right and wrong answers.

One request at a time uses the model; the others wait in Gradio's queue.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr

from auralign.demo.listener import Listener
from auralign.demo.reading import REPEAT, Reading, score_words, total
from auralign.publish.examples import Example

MAX_WAITING = 8
ALONE: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "model", "api_name": False}
COLUMNS = ["sentence", "the model repeats", "word errors", "recognized", "word errors", "same answer"]
WIDTHS: list[str | int] = ["22%", "22%", "11%", "22%", "11%", "12%"]
ABOUT = """\
**Speech**: the model hears the recording. **Cascade**: {cascade}. **Text**: the LLM reads what you typed{or_else}. All three have
the same prompt. How far the answer to speech is that to text shows how well the model hears; whether the LLM's answer is
right is another question."""
READ = """\
Choose a sentence, record it, and the model is asked to repeat it. *Word errors* is the word error rate of what it repeats,
against the sentence, without case and punctuation: it counts what the model misheard and where it did not obey. *Recognized* is
the encoder's own recognizer on the same recording. *Same answer* says whether the prompt below is answered with the same words
from your speech and from the sentence as text."""


def make_page(
    listener: Listener,
    *,
    name: str,
    sentences: Sequence[str],
    examples: Sequence[Example] = (),
    without: str = "",
) -> gr.Blocks:
    """The page.

    Arguments
    ---------
    listener : Listener
    name : str
        The model's name, its title.
    sentences : sequence of str
        To read aloud.
    examples : sequence of Example
        Right and wrong answers of a run; default none.
    without : str
        Why there are no examples.

    Returns gradio.Blocks; `launch` serves it.
    """
    with gr.Blocks(title=name, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(f"# {name}\nA text LLM that hears: {listener.model!r}.")
        with gr.Tab("Ask"):
            _add_asking(listener)
        with gr.Tab("Read aloud"):
            _add_reading(listener, sentences)
        with gr.Tab("Right and wrong"):
            _add_examples(examples, without)
    return page.queue(max_size=MAX_WAITING)


def launch(page: gr.Blocks, *, host: str, port: int) -> str:
    """Serve a page, in threads of its own, at an address of this machine and nowhere else; returns its URL."""
    _, url, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        show_error=True,
        max_file_size="25mb",
        ssr_mode=False,
        prevent_thread_lock=True,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # fetches none
        footer_links=[],
    )
    return str(url)


# Gradio's own buttons include one that sends the recording to a site.
BUTTONS: list[Any] = ["download"]


def _recorder(label: str) -> gr.Audio:
    return gr.Audio(sources=["microphone", "upload"], type="filepath", label=label, buttons=BUTTONS)


def _refuse(message: object) -> gr.Error:
    """What the page shows; the log of the server gets no traceback of it."""
    return gr.Error(str(message), print_exception=False)


def _add_asking(listener: Listener) -> None:
    cascade = (
        "the LLM reads what the encoder's own recognizer wrote"
        if listener.recognizer
        else f"there is none ({listener.without})"
    )
    or_else = ", or else what was recognized" if listener.recognizer else ""
    with gr.Row():
        with gr.Column(scale=1):
            audio = _recorder("Your speech")
        with gr.Column(scale=1):
            prompt = gr.Textbox(
                label="Prompt",
                placeholder="Nothing: the speech itself is the question",
                info="{speech} marks its position",
            )
            text = gr.Textbox(label="What was said, if you want to type it")
            button = gr.Button("Ask", variant="primary", elem_id="ask")
    recognized = gr.Textbox(label="Recognized", interactive=False, elem_id="recognized")
    with gr.Row():
        columns = [
            gr.Textbox(label=label, lines=6, interactive=False, elem_id=label.lower())
            for label in ("Speech", "Cascade", "Text")
        ]
    gr.Markdown(ABOUT.format(cascade=cascade, or_else=or_else))

    def ask(audio: str | None, prompt: str, text: str) -> Iterator[tuple[str, ...]]:
        yield from _in_columns(listener, audio, prompt.strip(), text.strip())

    button.click(ask, [audio, prompt, text], [recognized, *columns], **ALONE)


def _in_columns(
    listener: Listener, audio: str | None, prompt: str, text: str
) -> Iterator[tuple[str, str, str, str]]:
    """What was recognized, and the answers so far from speech, cascade and text."""
    if audio is None and not text:
        raise _refuse("Record something, upload a file, or type what was said.")
    recognized, answers, samples = "", ["", "", ""], None
    yield "", "", "", ""  # the answers to an earlier question
    try:
        if audio is not None:
            samples = listener.read(audio)
            recognized = listener.recognize(samples)
        sources = [
            listener.from_speech(samples, prompt) if audio is not None else None,
            listener.from_text(recognized, prompt, samples) if recognized else None,
            listener.from_text(text or recognized, prompt, samples) if text or recognized else None,
        ]
        yield (recognized, *answers)  # type: ignore[misc]
        for index, pieces in enumerate(sources):
            for piece in pieces or ():
                answers[index] += piece
                yield (recognized, *answers)  # type: ignore[misc]
    except ValueError as error:
        raise _refuse(error) from error


def _add_reading(listener: Listener, sentences: Sequence[str]) -> None:
    gr.Markdown(READ)
    readings = gr.State({})
    sentence = gr.Dropdown(list(sentences), value=sentences[0], label="Read this aloud", elem_id="sentence")
    audio = _recorder("Your reading")
    prompt = gr.Textbox(
        label="Prompt of the same answer", placeholder="Nothing: the speech itself is the question"
    )
    button = gr.Button("Score", variant="primary", elem_id="score")
    result = gr.Markdown(elem_id="result")
    table = gr.Dataframe(headers=COLUMNS, interactive=False, wrap=True, column_widths=WIDTHS)

    def score(
        audio: str | None, sentence: str, prompt: str, readings: dict[str, Reading]
    ) -> tuple[dict[str, Reading], str, list[list[str]]]:
        if audio is None:
            raise _refuse("Record the sentence, or upload a recording of it.")
        try:
            readings = {**readings, sentence: score_reading(listener, audio, sentence, prompt.strip())}
        except ValueError as error:
            raise _refuse(error) from error
        return readings, _describe(listener, list(readings.values())), _rows(listener, readings.values())

    button.click(score, [audio, sentence, prompt, readings], [readings, result, table], **ALONE)


def score_reading(listener: Listener, audio: Any, sentence: str, prompt: str) -> Reading:
    """What the model makes of a recording of a sentence. Raises AudioError if it cannot be used."""
    samples = listener.read(audio)
    return Reading(
        sentence=sentence,
        repeated="".join(listener.from_speech(samples, REPEAT)),
        recognized=listener.recognize(samples),
        repeated_text="".join(listener.from_text(sentence, REPEAT, samples)),
        answer="".join(listener.from_speech(samples, prompt)),
        text_answer="".join(listener.from_text(sentence, prompt, samples)),
    )


def _describe(listener: Listener, readings: Sequence[Reading]) -> str:
    repeated, recognized, agreement = total(readings)
    ceiling = total([Reading(one.sentence, one.repeated_text, "", "", "", "") for one in readings])[0]
    whisper = f"; the recognizer {recognized:.0%}" if listener.recognizer else ""
    return (
        f"**{len(readings)} read: word errors {repeated:.0%}**{whisper}; the LLM, repeating them from text, {ceiling:.0%}. "
        f"Same answer from speech and text: {agreement:.0%}."
    )


def _rows(listener: Listener, readings: Any) -> list[list[str]]:
    return [
        [
            one.sentence,
            one.repeated,
            f"{score_words(one.sentence, one.repeated):.0%}",
            one.recognized if listener.recognizer else "no recognizer",
            f"{score_words(one.sentence, one.recognized):.0%}" if listener.recognizer else "",
            "yes" if one.agrees else f"no: {one.answer} / {one.text_answer}",
        ]
        for one in readings
    ]


def _add_examples(examples: Sequence[Example], without: str) -> None:
    if not examples:
        gr.Markdown(without)
        return
    gr.Markdown(
        "Answers of the run to its test set, the first of each kind. *Right*: the words of the answer are the expected ones."
    )
    with gr.Row():
        for is_right, title in ((False, "Wrong"), (True, "Right")):
            with gr.Column():
                chosen = [one for one in examples if one.is_right == is_right]
                gr.Markdown(f"## {title}" + ("" if chosen else ": the run has none"))
                for one in chosen:
                    rate, samples = one.audio
                    recording = (rate, (samples * 32767).astype("int16"))
                    gr.Audio(recording, label=one.utt_id, interactive=False, editable=False, buttons=BUTTONS)
                    for label, text in (
                        ("Said", one.text),
                        ("Prompt", one.prompt or "none"),
                        ("Answer", one.answer),
                        ("Expected", one.expected),
                    ):
                        gr.Textbox(text, label=label, interactive=False, max_lines=20)
