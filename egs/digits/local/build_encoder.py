"""Train the tiny Whisper-shaped encoder of the digits example with CTC over whole words, and test it.

    python build_encoder.py --corpus corpus/synthetic --output models/encoder --seed 1
    python build_encoder.py --speech recorded --corpus corpus/recorded --init models/encoder --output DIR

Reads: labels.jsonl and the audio of a corpus folder; with --init, an encoder folder to continue from.
Writes: a Hugging Face Whisper folder without decoder weights (bfloat16), the CTC head beside them, and the
word error rates in <output>.scores.json.
"""

import argparse
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy
import soundfile
import torch
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper import modeling_whisper

import world
from augment import Strength, augment_features, augment_waveform
from auralign import script
from auralign.files import make_folder_atomically, write_atomically
from auralign.models.encoders import WhisperEncoder, load_whisper
from auralign.models.encoders.whisper import count_frames
from auralign.models.recognizers import forced_align, load_ctc
from auralign.models.recognizers.ctc import HEAD_FILE, TOKENS_FILE
from auralign.models.recognizers.units import BLANK
from auralign.progress import Progress

TOKENS = ["<blank>", *world.HEARD_WORDS]
TOKEN_IDS = {word: index for index, word in enumerate(TOKENS)}
BATCH_SIZE = 16
NUM_SORTED_BATCHES = 20  # sorted by length together, so that little is padding
SHARE_OF_WARM_UP = 0.1
REACH = 2  # frames of 20 ms; the shortest of our words lasts about ten


@dataclass(frozen=True)
class Recipe:
    """How long, how fast and how roughly to train, and after which share of the steps to sharpen."""

    num_epochs: int
    peak_lr: float
    sharpen_after: float
    strength: Strength


RECIPES = {
    "synthetic": Recipe(14, 1.5e-3, 0.3, Strength()),
    # Three or four people only: everything that tells one voice or microphone from another is shaken hard.
    "recorded": Recipe(
        4,
        7e-4,
        0.0,
        Strength(speed=(0.75, 1.35), noise_decibels=(8.0, 45.0), tilt_decibels=20.0, max_bands=16),
    ),
}


def new_encoder(seed):
    """A Whisper encoder of about 1.8 million parameters with random weights."""
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=192, encoder_layers=4, encoder_attention_heads=4, encoder_ffn_dim=512, num_mel_bins=80,
        # The decoder is never made; its shape only has to be small and valid.
        vocab_size=len(TOKENS), decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=192,
        max_target_positions=8, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
        suppress_tokens=None, begin_suppress_tokens=None,
        # Whisper's 0.02 suits its own widths; here the speech would drown in the positions.
        init_std=0.06,
        architectures=["WhisperModel"], dtype="bfloat16",
    )  # fmt: skip
    encoder = WhisperEncoder(modeling_whisper.WhisperEncoder(config), WhisperFeatureExtractor())
    with torch.no_grad():
        for layer in encoder.encoder.layers:
            # Queries equal to keys: attention starts out on frames near by, among which are a word's other frames.
            layer.self_attn.q_proj.weight.copy_(layer.self_attn.k_proj.weight)
    return encoder, torch.nn.Linear(encoder.width, len(TOKENS))


def continued_encoder(folder):
    """Encoder and head of a folder, to be trained on."""
    encoder = load_whisper(folder)
    return encoder, load_ctc(folder, encoder.width).head


def read_corpus(folder, split):
    """Utterances of one split. Returns: list of (samples (N,) in 16 bit at 16 kHz, words)."""
    folder = Path(folder)
    with open(folder / "labels.jsonl", encoding="utf-8") as file:
        labels = [json.loads(line) for line in file]
    return [
        (soundfile.read(folder / label["audio"], dtype="int16")[0], label["text"].split())
        for label in labels
        if label["split"] == split
    ]


def to_float(samples):
    return samples.astype(numpy.float32) / 32768


def draw_batches(utterances, rng, *, shortest_first):
    """Shuffle, then sort by length within groups of batches. Returns: lists of indices into `utterances`.

    `shortest_first` sorts all: at first it shows CTC the positions of words (SortaGrad, arXiv:1512.02595).
    """
    if shortest_first:
        order = sorted(range(len(utterances)), key=lambda index: len(utterances[index][0]))
        return [order[first : first + BATCH_SIZE] for first in range(0, len(order), BATCH_SIZE)]
    order = rng.permutation(len(utterances))
    size = BATCH_SIZE * NUM_SORTED_BATCHES
    batches = []
    for start in range(0, len(order), size):
        group = sorted(order[start : start + size], key=lambda index: len(utterances[index][0]))
        batches += [group[first : first + BATCH_SIZE] for first in range(0, len(group), BATCH_SIZE)]
    return [batches[index] for index in rng.permutation(len(batches))]


def ctc_loss(encoder, head, batch, strength, rng, *, sharpen):
    """CTC loss, per word, of augmented utterances; `sharpen` adds the loss of the best path alone."""
    waveforms = [augment_waveform(to_float(samples), strength, rng) for samples, _ in batch]
    mel, mel_lengths = encoder.features(waveforms)
    augment_features(mel, mel_lengths, strength, rng)
    scores = head(encoder.transform(mel, mel_lengths)).log_softmax(dim=-1)  # (B, T, V)
    targets = [torch.tensor([TOKEN_IDS[word] for word in words]) for _, words in batch]
    lengths = count_frames(mel_lengths)
    loss = torch.nn.functional.ctc_loss(
        scores.transpose(0, 1),
        torch.cat(targets),
        lengths,
        torch.tensor([len(target) for target in targets]),
        zero_infinity=True,
    )
    return loss + best_path_loss(scores, lengths, targets) if sharpen else loss


def best_path_loss(scores, lengths, targets):
    """Negative log-likelihood of each utterance's best CTC path with its words widened, per word.

    CTC is content with a word whose probability is spread over its vowel, 0.2 on each of eight: a greedy
    search then finds a blank. Only one path counts here, so that the word has to be on certain frames.

    Arguments
    ---------
    scores : torch.Tensor (B, T, V), log-probabilities
    lengths : torch.Tensor (B,), in frames
    targets : list of B torch.Tensor (number of words,)
    """
    losses = []
    for row, length, target in zip(scores, lengths.tolist(), targets, strict=True):
        row = row[:length]
        path, _ = forced_align(row.detach()[None], target[None], blank=BLANK)
        path = widen(path[0], row.detach())
        losses.append(-row.gather(1, path[:, None]).sum() / len(target))
    return torch.stack(losses).mean()


def widen(path, scores):
    """Put each word of a CTC path on the `REACH` frames to both sides of its surest one, as far as there is room.

    CTC's best path puts a word on a frame or two and calls the others blank. A connector then has to look for it
    at each position among the frames that it stacks; a wider word looks alike from all of them.

    Arguments
    ---------
    path : torch.Tensor (T,), token ids
    scores : torch.Tensor (T, V), log-probabilities

    Returns
    -------
    torch.Tensor (T,) int64, with a blank between two neighbours wherever there was one.
    """
    from torchaudio.functional import merge_tokens  # here, so that nothing else of stage 0 needs torchaudio

    words = merge_tokens(path, torch.ones(len(path)), blank=BLANK)
    surest = [word.start + int(scores[word.start : word.end, word.token].argmax()) for word in words]
    between = [(left + right) // 2 for left, right in itertools.pairwise(surest)]
    wide = torch.full(path.shape, BLANK)
    for word, position, before, behind in zip(
        words, surest, [-1, *between], [*between, len(path)], strict=True
    ):
        first = max(position - REACH, before + 1)
        last = max(position, min(position + REACH, behind - 1))
        wide[first : last + 1] = word.token
    return wide


def learning_rate(peak, step, num_steps):
    """Linear warm-up, then half a cosine down to zero."""
    num_warm_up = max(1, int(SHARE_OF_WARM_UP * num_steps))
    if step < num_warm_up:
        return peak * (step + 1) / num_warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - num_warm_up) / (num_steps - num_warm_up)))


def train(encoder, head, utterances, recipe, *, seed, fresh):
    """Train in place, from random weights (`fresh`) or on. All draws are functions of (seed, epoch)."""
    encoder.encoder.requires_grad_(True)
    encoder.encoder.embed_positions.requires_grad_(False)
    head.requires_grad_(True)
    parameters = [weight for weight in (*encoder.parameters(), *head.parameters()) if weight.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.peak_lr, betas=(0.9, 0.98), weight_decay=0.01)
    num_batches = -(-len(utterances) // BATCH_SIZE)
    num_steps = recipe.num_epochs * num_batches
    with Progress("train the encoder", unit="step", total=num_steps) as progress:
        for epoch in range(recipe.num_epochs):
            rng = numpy.random.default_rng([seed, epoch])
            batches = draw_batches(utterances, rng, shortest_first=fresh and epoch == 0)
            for number, indices in enumerate(batches):
                step = epoch * num_batches + number
                batch = [utterances[index] for index in indices]
                sharpen = step >= recipe.sharpen_after * num_steps
                loss = ctc_loss(encoder, head, batch, recipe.strength, rng, sharpen=sharpen)
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(recipe.peak_lr, step, num_steps)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                progress.update(loss=loss.item())


def save(folder, encoder, head):
    """Write the encoder as a WhisperModel folder without a decoder, and the CTC head beside it."""
    weights = {f"encoder.{name}": value for name, value in encoder.encoder.state_dict().items()}
    save_file(to_bfloat16(weights), folder / "model.safetensors", metadata={"format": "pt"})
    save_file(to_bfloat16(head.state_dict()), folder / HEAD_FILE)
    (folder / TOKENS_FILE).write_text(json.dumps(TOKENS) + "\n", encoding="utf-8")
    encoder.encoder.config.save_pretrained(folder)
    encoder.extractor.save_pretrained(folder)


def to_bfloat16(weights):
    return {name: value.detach().to(torch.bfloat16).contiguous() for name, value in weights.items()}


def word_error_rate(folder, utterances):
    """Load a folder as any user would and transcribe. Returns: word errors per reference word."""
    encoder = load_whisper(folder)
    recognizer = load_ctc(folder, encoder.width)
    utterances = sorted(utterances, key=lambda utterance: len(utterance[0]))
    references, hypotheses = [], []
    for start in range(0, len(utterances), BATCH_SIZE):
        batch = utterances[start : start + BATCH_SIZE]
        hypotheses += recognizer.transcribe(*encoder([to_float(samples) for samples, _ in batch]))
        references += [" ".join(words) for _, words in batch]
    return jiwer.wer(references, hypotheses)


def write_scores(folder, corpus):
    scores = {split: word_error_rate(folder, read_corpus(corpus, split)) for split in ("valid", "test")}
    with write_atomically(f"{folder}.scores.json") as file:
        json.dump(scores, file, indent=2)
    return scores


def build_encoder(folder, *, speech, corpus, seed, init=None, also=None):
    """Train in memory, write into a temporary folder and rename it to `folder` when it is whole.

    Arguments
    ---------
    speech : str
        "synthetic" or "recorded": the recipe of training.
    corpus : path of the corpus folder trained and tested on.
    init : path of an encoder folder to continue from, or None to start from random weights.
    also : path of a corpus folder trained on, too, or None.
    """
    encoder, head = new_encoder(seed) if init is None else continued_encoder(init)
    utterances = read_corpus(corpus, "train") + ([] if also is None else read_corpus(also, "train"))
    train(encoder, head, utterances, RECIPES[speech], seed=seed, fresh=init is None)
    with make_folder_atomically(folder) as temporary:
        save(temporary, encoder, head)
    return write_scores(folder, corpus)


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", choices=tuple(RECIPES), default="synthetic")
    parser.add_argument("--corpus", required=True, help="corpus folder made by make_corpus.py")
    parser.add_argument("--also", help="another corpus folder to train on, too")
    parser.add_argument("--init", help="encoder folder to continue from")
    parser.add_argument("--output", required=True, help="folder of the encoder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--test-only", action="store_true", help="test the encoder that is there")
    options = parser.parse_args(argv)
    if options.test_only:
        scores = write_scores(options.output, options.corpus)
    else:
        scores = build_encoder(
            options.output, speech=options.speech, corpus=options.corpus, seed=options.seed,
            init=options.init, also=options.also,
        )  # fmt: skip
    for split, rate in scores.items():
        print(f"{options.output}: word error rate on {split} {100 * rate:.2f} %")


if __name__ == "__main__":
    script.run(main)
