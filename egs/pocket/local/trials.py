"""Trials of a listener of local/ladder.py beside the ladder: rules obeyed, seconds to the first token, files of your own."""

import time
from collections import defaultdict
from pathlib import Path
from statistics import mean

from local.measures import Asked
from local.texts import words_of

from auralign.data.audio import audio_path, hear
from auralign.generate.refusals import is_refusal
from auralign.layout import MAIN, Speech, View, fill
from auralign.ledger.table import Table
from auralign.progress import track
from auralign.score import obey


def hear_file(listener, path) -> dict[str, str]:
    """What the model makes of a file: the tokens that it hears, the encoder's own transcript, and the answers to both."""
    encoder = listener.model.encoder
    frames = encoder([hear(path, sample_rate=encoder.sample_rate).samples])
    (embeddings,) = listener.embed(frames)
    (transcript,) = listener.decoder.recognizer.transcribe(*frames)
    speech = listener.answer([listener.prompt], [[embeddings]])
    with listener.llm.original():
        cascade = listener.answer([listener.text_prompt(transcript)])
    heard = listener.renderer.read(listener.nearest_tokens(embeddings).tolist()).text
    return {"heard": heard, "speech": speech[0], "transcript": transcript, "cascade": cascade[0]}


def time_first_tokens(listener, asked: list[Asked]) -> dict[str, list[float]]:
    """Seconds from the samples of each clip to the first token of the answer, by column; the first clip is not timed."""
    encoder, manifest = listener.model.encoder, listener.manifest
    seconds: dict[str, list[float]] = {"speech": [], "cascade": []}
    for one in asked:
        samples = hear(audio_path(manifest.path, one.utterance), sample_rate=encoder.sample_rate).samples
        begun = time.perf_counter()
        speech = listener.embed(encoder([samples]))
        listener.answer([listener.prompt], [speech], max_new_tokens=1)
        heard = time.perf_counter()
        (text,) = listener.decoder.recognizer.transcribe(*encoder([samples]))
        listener.answer([listener.text_prompt(text)], max_new_tokens=1)
        seconds["speech"].append(heard - begun)
        seconds["cascade"].append(time.perf_counter() - heard)
    return {column: of_column[1:] for column, of_column in seconds.items()}


def obeyed(listener, asked: list[Asked], embeddings, number: int) -> dict[str, dict[str, list[bool]]]:
    """By content-bound rule and input, whether each of the first `number` utterances that can tell is answered by the rule."""
    rules = [task for task in obey.TASKS.values() if task.is_content_bound]
    found: dict[str, dict[str, list[bool]]] = {}
    transcripts: dict[int, str] = {}
    for task in rules if number else ():
        rows = [row for row, one in enumerate(asked) if task.can_tell(one.utterance.text)][:number]
        for row in rows:
            if row not in transcripts:
                frames = listener.decoder.frames.get([asked[row].row])[MAIN]
                (transcripts[row],) = listener.decoder.recognizer.transcribe(*frames)
        ask, said = task.phrasings[0], [asked[row].utterance.text for row in rows]
        prompts = [listener.renderer.render(View(fill(ask, Speech(""))))] * len(rows)
        with listener.llm.original():
            answers = {
                "text": listener.answer([listener.text_prompt(text, ask) for text in said]),
                "cascade": listener.answer([listener.text_prompt(transcripts[row], ask) for row in rows]),
            }
        for column, shift in (("speech", 0), ("shuffled", 1)):
            given = [[embeddings[(row + shift) % len(asked)]] for row in rows]
            answers[column] = listener.answer(prompts, given, about=f"{task.name} from {column}")
        found[task.name] = {
            column: [task.check(*pair) for pair in zip(of_column, said, strict=True)]
            for column, of_column in answers.items()
        }
    return found


def show_files(listener, paths: list[Path]) -> str:
    """What is made of each file, in lines; of one that cannot be heard, such as one that is too long, why. Of several kinds of
    files, whose names are a kind, "-" and a number, a table follows, a row a kind."""
    lines, kinds = [], defaultdict(list)
    for path in track(paths, "ladder: files", unit="file"):
        try:
            found = hear_file(listener, path)
            kinds[path.stem.rpartition("-")[0]].append(found)
        except ValueError as error:
            found = {"not heard": str(error)}
        lines += [str(path), *(f"  {name:<10}  {text}" for name, text in found.items())]
    if len(kinds) > 1:
        lines += ["", summarise_kinds(kinds)]
    return "\n".join(lines)


def summarise_kinds(kinds: dict[str, list[dict[str, str]]]) -> str:
    """A row for each kind of files: the words heard and transcribed, and how many answers differ, refuse, or are empty."""
    heads = ["files", "n", "words heard of each", "words transcribed"]
    measures = {"differ": lambda texts: len(set(texts)), "refuse": lambda texts: sum(map(is_refusal, texts))}
    measures["empty"] = lambda texts: sum(not text.strip() for text in texts)
    heads += [f"{column}: {name}" for column in ("speech", "cascade") for name in measures]
    rows = []
    for kind, found in kinds.items():
        texts = {name: [one[name] for one in found] for name in found[0]}
        words = [
            f"{mean(len(words_of(text)) for text in texts[name]):.1f}" for name in ("heard", "transcript")
        ]
        counts = [
            str(count(texts[column])) for column in ("speech", "cascade") for count in measures.values()
        ]
        rows.append([kind or "other", str(len(found)), *words, *counts])
    return Table(heads, rows, num_texts=1).to_markdown()
