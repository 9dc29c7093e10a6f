#!/usr/bin/env python3
"""Write five sets of targets about the same sentences, which `auralign audit` is to tell apart before anything is trained.

| arm | the student is asked | target |
|---|---|---|
| own_reply | nothing | the LLM's own reply |
| own_repeat | to repeat the text | the LLM's own answer |
| licensed_verbatim | to repeat exactly, nothing else | the sentence, where the LLM itself answers so |
| foreign_verbatim | to tell about it | the sentence |
| verbatim_unasked | nothing | the sentence |

Reads: sentences, one a line, and an LLM
Writes: OUTPUT/<arm>.jsonl, and on stdout how many each has
"""

import argparse
import json
from pathlib import Path

from auralign import script
from auralign.files import write_atomically
from auralign.layout import Text, View, fill
from auralign.models.llm import Decoding, load_llm
from auralign.progress import track
from auralign.render import Renderer
from auralign.text.words import plain

REPEAT = "{speech}\nRepeat the text above."
EXACTLY = "Repeat this exactly, and say nothing else: {speech}"
TELL = "Tell me about this: {speech}"
MAX_NEW_TOKENS, BATCH_SIZE = 24, 50


def main(argv):
    """Ask the LLM three times about each sentence, and write the arms."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", type=Path, help="sentences, one a line")
    parser.add_argument("llm", help="folder or hub id of the LLM")
    parser.add_argument("output", type=Path, help="folder")
    parser.add_argument("number", type=int, nargs="?", help="the first so many sentences (default: all)")
    options = parser.parse_args(argv)
    lines = options.texts.read_text(encoding="utf-8").splitlines()
    texts = [line.strip() for line in lines if line.strip()][: options.number]
    llm = load_llm(options.llm)
    renderer = Renderer(llm.tokenizer, stop_ids=llm.stop_ids)
    exact = ask(llm, renderer, EXACTLY, texts)
    said = [(text, text, "stop") for text in texts]
    arms = {
        "own_reply": (None, ask(llm, renderer, None, texts)),
        "own_repeat": (REPEAT, ask(llm, renderer, REPEAT, texts)),
        "licensed_verbatim": (EXACTLY, [row for row in exact if plain(row[0]) == plain(row[1])]),
        "foreign_verbatim": (TELL, said),
        "verbatim_unasked": (None, said),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for arm, (instruction, rows) in arms.items():
        with write_atomically(options.output / f"{arm}.jsonl") as file:
            for text, target, reason in rows:
                row = {"instruction": instruction, "text": text, "target": target, "finish_reason": reason}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{arm}: {len(rows)} targets")


def ask(llm, renderer, instruction, texts):
    """(text, the LLM's greedy answer, finish reason) of each text."""
    found = []
    batches = [texts[start : start + BATCH_SIZE] for start in range(0, len(texts), BATCH_SIZE)]
    for batch in track(batches, f"asking {instruction or 'nothing'!r}", unit="batch"):
        prompts = [llm.embed(renderer.render(View(fill(instruction, Text(text)))).ids) for text in batch]
        decoding = Decoding(max_new_tokens=MAX_NEW_TOKENS)
        answers = llm.generate(prompts, decoding=decoding, stop_ids=renderer.stop_ids)
        for text, answer in zip(batch, answers, strict=True):
            found.append((text, renderer.read(answer.ids).text, answer.finish_reason))
    return found


if __name__ == "__main__":
    script.run(main)
