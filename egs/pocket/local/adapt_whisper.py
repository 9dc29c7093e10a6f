"""A baseline: Whisper's decoder adapted to the very clips, and the very encoder frames, that the connector is trained on.

    python local/adapt_whisper.py hparams/align.yaml --output exp/full/adapted_whisper [--epochs 1]

`local/ladder.py --adapted FOLDER` reads transcripts off the frames with it, and asks the LLM: the cascade that a connector must
beat to be ahead.

Reads: <data_folder>/train.jsonl and its cached frames
Writes: <output>, a Hugging Face folder of Whisper
"""

import argparse
import random
import shutil
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from auralign import script  # noqa: E402
from auralign.data.frames import recipe_frames  # noqa: E402
from auralign.files import make_folder_atomically  # noqa: E402
from auralign.hub import resolve  # noqa: E402
from auralign.layout import MAIN  # noqa: E402
from auralign.models.build import build_recognizer, construct_encoder  # noqa: E402
from auralign.progress import Progress  # noqa: E402
from auralign.records import Records, Utterance  # noqa: E402
from auralign.run_folder import RunFolder  # noqa: E402

BATCH_SIZE, LR, WARMUP_STEPS = 16, 1e-4, 20
IGNORED = -100  # label of what is not predicted: the prompt, and padding


class Encoders:
    """What `recipe_frames` asks of a model: its encoders by branch."""

    def __init__(self, encoder):
        self.encoders = {MAIN: encoder}


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    own, rest = parser.parse_known_args(argv)
    if own.output.exists():
        print(f"adapt: {own.output} is there already")
        return
    run = RunFolder.of_arguments(rest, doc=__doc__)
    encoder = construct_encoder("encoder", run.recipe.encoder)
    recognizer = build_recognizer(run.recipe, encoder)
    train = Records(run.data.manifest("train"), Utterance)
    frames = recipe_frames(run.recipe, Encoders(encoder), train)
    adapt(recognizer, train, frames, epochs=own.epochs, seed=run.recipe.seed)
    with make_folder_atomically(own.output) as folder:
        source = resolve(run.recipe.own["encoder_folder"])
        for file in source.iterdir():
            if file.is_file() and not file.name.startswith("model"):
                shutil.copy(file, folder)
        recognizer.model.save_pretrained(folder)
    print(f"adapt: {own.output}")


def adapt(recognizer, train: Records, frames, *, epochs: int, seed: int) -> None:
    """Train the decoder by cross-entropy on the transcripts, in batches of clips of similar length."""
    rng = random.Random(seed)
    model, tokenizer, prompt = recognizer.model, recognizer.tokenizer, recognizer.prompt
    decoder = model.model.decoder
    decoder.requires_grad_(True)
    texts = [utterance.text for utterance in train]
    order = sorted(range(len(train)), key=lambda row: train[row].seconds)
    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    num_steps = epochs * len(batches)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=LR, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARMUP_STEPS) * (1 - step / num_steps)
    )
    with Progress("adapt Whisper", unit="step", total=num_steps) as progress:
        for step in range(num_steps):
            if step % len(batches) == 0:
                rng.shuffle(batches)
            rows = batches[step % len(batches)]
            encoded, lengths = frames.get(rows)[MAIN]
            said = tokenizer([f" {texts[row]}" for row in rows], add_special_tokens=False)["input_ids"]
            ids = [[*prompt, *one, tokenizer.eos_token_id] for one in said]
            longest = max(map(len, ids))
            tokens = torch.tensor([one + [tokenizer.eos_token_id] * (longest - len(one)) for one in ids])
            labels = torch.tensor(
                [
                    [IGNORED] * (len(prompt) - 1) + one[len(prompt) :] + [IGNORED] * (longest - len(one))
                    for one in ids
                ]
            )
            # The decoder has no mask for frames; clips of a batch differ in length by little, and what is beyond is zero.
            hidden = decoder(input_ids=tokens[:, :-1], encoder_hidden_states=encoded).last_hidden_state
            loss = torch.nn.functional.cross_entropy(
                model.proj_out(hidden).flatten(0, 1), labels.flatten(), ignore_index=IGNORED
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress.update(loss=loss.item())
    decoder.requires_grad_(False)


if __name__ == "__main__":
    script.run(main)
