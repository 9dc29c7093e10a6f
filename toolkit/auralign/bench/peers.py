"""What other toolkits compute in a training step, re-expressed over the same encoder, connector and LLM.

Each arm names the file that it mirrors (mirrors of July 2026): its padding, batches, masks, logits and loss. It runs forward and
backward over all items and returns the summed loss and the number of tokens in it; gradients add up in the connector, of the mean
over `total` tokens. One module, as the arms are one comparison.

Axes: B batch, T frames, U embeddings or ids, D width, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from auralign.bench.ours import Item
from auralign.models.speech_llm import SpeechLLM

IGNORED = -100
SAMPLE_RATE = 16_000


class Parts:
    """The parts of auralign's model as plain modules; `used` and `laid` count LLM positions without and with padding."""

    def __init__(self, model: SpeechLLM):
        self.encoder: Any = model.encoder
        self.connector, self.lm = model.connector, model.llm.model
        self.embed, self.device = self.lm.get_input_embeddings(), model.llm.device
        self.used = self.laid = 0

    @torch.no_grad()
    def encode(
        self, items: Iterable[Item], padding: str = "true_length"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, T, D) and lengths (B,), padded to the longest of the batch ("true_length") or to 30 s."""
        import soundfile

        self.encoder.padding = padding
        return self.encoder([soundfile.read(item.path, dtype="float32")[0] for item in items])

    def listen(self, items: list[Item], padding: str = "true_length") -> tuple[torch.Tensor, torch.Tensor]:
        """Speech embeddings (B, U, D), cut to the longest, and lengths (B,)."""
        audio, lengths, _ = self.connector(*self.encode(items, padding), None)
        return audio[:, : int(lengths.max())], lengths

    def ids(self, *runs: int | Sequence[int]) -> torch.Tensor:
        """Ids (U,) on the device; an int stands for so many zeros."""
        row = [token for run in runs for token in ([0] * run if isinstance(run, int) else run)]
        return torch.tensor(row, device=self.device)

    def count(self, mask: torch.Tensor) -> None:
        """Count a batch's positions."""
        self.used += int(mask.sum())
        self.laid += mask.numel()


def _right(rows: list[torch.Tensor], value: int = 0) -> torch.Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=value)


def _left(rows: list[torch.Tensor], value: int = 0) -> torch.Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=value, padding_side="left")


def _ones(rows: list[torch.Tensor]) -> list[torch.Tensor]:
    return [torch.ones_like(row) for row in rows]


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _labels(parts: Parts, item: Item, num_before: int) -> torch.Tensor:
    return torch.cat([parts.ids(num_before) + IGNORED, parts.ids(item.target)])


def _learn(loss: torch.Tensor, labels: torch.Tensor, total: int) -> tuple[float, int]:
    """Backward of a mean over the labels that are predicted; returns their summed loss and number."""
    number = int((labels[:, 1:] != IGNORED).sum())
    (loss * number / total).backward()
    return float(loss.detach()) * number, number


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """What SLAM-LLM and AZeroS log in every step: of an argmax over all logits."""
    with torch.no_grad():
        right = (logits.argmax(-1)[:, :-1] == labels[:, 1:]) & (labels[:, 1:] != IGNORED)
        return float(right.sum() / (labels[:, 1:] != IGNORED).sum())


def slam_llm(
    parts: Parts, items: list[Item], total: int, *, batch_size: int = 4
) -> Iterator[tuple[float, int]]:
    """X-LANCE/SLAM-LLM src/slam_llm/datasets/speech_dataset.py (pad_or_trim to 30 s; prompts padded left, answers right) and
    models/slam_model.py (all frames through the projector, scattered into the embeddings; labels on all positions; argmax)."""
    for batch in _batches(items, batch_size):
        audio, _ = parts.listen(batch, "whole_window")
        each = audio.shape[1]
        prompts = [parts.ids(item.before, each, item.between) for item in batch]
        answers = [parts.ids(item.target) for item in batch]
        ids = torch.cat([_left(prompts), _right(answers)], 1)
        mask = torch.cat([_left(_ones(prompts)), _right(_ones(answers))], 1)
        labels = torch.cat([_left(prompts) * 0 + IGNORED, _right(answers, IGNORED)], 1)
        places = [parts.ids(len(item.before), [1] * each, len(item.between)) for item in batch]
        place = torch.cat([_left(places), _right(answers) * 0], 1).bool()
        embeddings = parts.embed(ids)
        scattered = torch.zeros_like(embeddings)
        for row, start in enumerate(place.float().argmax(1)):
            scattered[row, start : start + each] = audio[row]
        output = parts.lm(
            inputs_embeds=scattered + embeddings * ~place[..., None], attention_mask=mask, labels=labels
        )
        _accuracy(output.logits, labels)
        parts.count(mask)
        yield _learn(output.loss, labels, total)


def blsp(parts: Parts, items: list[Item], total: int, *, batch_size: int = 8) -> Iterator[tuple[float, int]]:
    """cwang621/blsp src/speech_text_paired_dataset.py (30 s extractor) and src/modeling_blsp.py (prefix, speech padded to the
    longest, suffix padded: padding in the middle, without position ids; labels on all positions)."""
    for batch in _batches(items, batch_size):
        audio, lengths = parts.listen(batch, "30_seconds")
        heard = torch.arange(audio.shape[1], device=parts.device)[None] < lengths[:, None]
        prefix = _right([parts.ids(item.before) for item in batch])
        suffixes = [parts.ids(item.between, item.target) for item in batch]
        embeddings = torch.cat([parts.embed(prefix), audio, parts.embed(_right(suffixes))], 1)
        mask = torch.cat([torch.ones_like(prefix), heard.long(), _right(_ones(suffixes))], 1)
        labels = torch.cat(
            [
                torch.full((len(batch), prefix.shape[1] + audio.shape[1]), IGNORED, device=parts.device),
                _right([_labels(parts, item, len(item.between)) for item in batch], IGNORED),
            ],
            1,
        )
        output = parts.lm(inputs_embeds=embeddings, attention_mask=mask, labels=labels)
        parts.count(mask)
        yield _learn(output.loss, labels, total)


def speechbrain(
    parts: Parts, items: list[Item], total: int, *, max_seconds: float = 100.0
) -> Iterator[tuple[float, int]]:
    """speechbrain recipes/LibriSpeech/ASR/transformer/train_speechllm.py and hparams/speechllm_ssl_feats.yaml (SpeechBrain's own
    DynamicBatchSampler; audio padded to the longest; start, audio, rest, with a mask row by row; full logits)."""
    for batch in _buckets_of_speechbrain(items, max_seconds):
        audio, lengths = parts.listen(batch)
        first = _right([parts.ids(item.before) for item in batch])
        rests = [parts.ids(item.between, item.target) for item in batch]
        embeddings = torch.cat([parts.embed(first), audio, parts.embed(_right(rests))], 1)
        mask = torch.zeros(embeddings.shape[:2], dtype=torch.bool, device=parts.device)
        begin, end = first.shape[1], first.shape[1] + audio.shape[1]
        for row, rest in enumerate(rests):
            mask[row, :begin] = True
            mask[row, begin : begin + int(lengths[row].item())] = True
            mask[row, end : end + len(rest)] = True
        logits = parts.lm(inputs_embeds=embeddings, attention_mask=mask).logits
        shifted = [
            torch.cat([_labels(parts, item, len(item.between))[1:], parts.ids([IGNORED])]) for item in batch
        ]
        labels = torch.cat(
            [torch.full((len(batch), end), IGNORED, device=parts.device), _right(shifted, IGNORED)], 1
        )
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        parts.count(mask)
        yield _learn(loss, F.pad(labels, (1, 0), value=IGNORED), total)


def _buckets_of_speechbrain(items: list[Item], max_seconds: float) -> Iterator[list[Item]]:
    from speechbrain.dataio.dataset import DynamicItemDataset
    from speechbrain.dataio.sampler import DynamicBatchSampler

    rows = {str(row): {"duration": item.seconds} for row, item in enumerate(items)}
    sampler = DynamicBatchSampler(
        DynamicItemDataset(rows, output_keys=["duration"]),
        max_batch_length=max_seconds,
        num_buckets=200,
        length_func=lambda row: row["duration"],
        shuffle=True,
        batch_ordering="random",
        max_batch_ex=256,
    )
    return ([items[row] for row in batch] for batch in sampler)


def azeros(
    parts: Parts, items: list[Item], total: int, *, max_seconds: float = 100.0
) -> Iterator[tuple[float, int]]:
    """AudenAI/Auden examples/azeros/data_module.py (buckets by duration: here sorted and cut at `max_seconds`) and model.py
    (right padding, masked_scatter, labels on all positions, argmax)."""
    for batch in _sorted_by_seconds(items, max_seconds):
        audio, lengths = parts.listen(batch)
        sizes = [int(length.item()) for length in lengths]
        rows = [
            parts.ids(item.before, [-1] * size, item.between, item.target)
            for item, size in zip(batch, sizes, strict=True)
        ]
        mask, ids = _right(_ones(rows)), _right(rows)
        heard = torch.arange(audio.shape[1], device=parts.device)[None] < lengths[:, None]
        embeddings = parts.embed(ids.clamp(min=0))
        embeddings = embeddings.masked_scatter((ids == -1)[..., None].expand_as(embeddings), audio[heard])
        labels = _right(
            [
                _labels(parts, item, len(item.before) + size + len(item.between))
                for item, size in zip(batch, sizes, strict=True)
            ],
            IGNORED,
        )
        output = parts.lm(inputs_embeds=embeddings, attention_mask=mask, labels=labels)
        _accuracy(output.logits, labels)
        parts.count(mask)
        yield _learn(output.loss, labels, total)


def _sorted_by_seconds(items: list[Item], max_seconds: float) -> list[list[Item]]:
    batches: list[list[Item]] = [[]]
    for item in sorted(items, key=lambda item: item.seconds):
        if batches[-1] and (len(batches[-1]) + 1) * item.seconds > max_seconds:
            batches.append([])
        batches[-1].append(item)
    return Random(0).sample(batches, len(batches))


def salm(parts: Parts, items: list[Item], total: int, *, batch_size: int = 4) -> Iterator[tuple[float, int]]:
    """NVIDIA/NeMo nemo/collections/speechlm2/models/salm.py and examples' salm.yaml (true length, padded left in Python row by
    row, full logits, summed cross-entropy)."""
    for batch in _batches(items, batch_size):
        audio, lengths = parts.listen(batch)
        rows, labels = [], []
        for item, one, length in zip(batch, audio, lengths, strict=True):
            heard = one[: int(length)]
            after = parts.embed(parts.ids(item.between, item.target))
            rows.append(torch.cat([parts.embed(parts.ids(item.before)), heard, after]))
            labels.append(_labels(parts, item, len(item.before) + len(heard) + len(item.between)))
        mask = _left([torch.ones_like(row) for row in labels]).bool()
        targets = _left(labels, IGNORED)[:, 1:]
        logits = parts.lm(
            inputs_embeds=_left(rows)[:, :-1], attention_mask=mask[:, :-1], use_cache=False
        ).logits
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=IGNORED)
        (loss / total).backward()
        parts.count(mask)
        yield float(loss.detach()), int((targets != IGNORED).sum())


def ultravox(
    parts: Parts,
    items: list[Item],
    total: int,
    *,
    batch_size: int = 12,
    temperature: float = 2.0,
    end: float = 1.0,
) -> Iterator[tuple[float, int]]:
    """fixie-ai/ultravox ultravox/model/ultravox_model.py (student and teacher with labels, whose cross-entropies nobody reads;
    full logits, gathered after the head; divergence over the answer and once more at its end; padding at the right)."""
    for batch in _batches(items, batch_size):
        audio, lengths = parts.listen(batch)
        sizes = [int(length) for length in lengths]
        rows = [
            parts.ids(item.before, size, item.between, item.target)
            for item, size in zip(batch, sizes, strict=True)
        ]
        labels = _right(
            [
                _labels(parts, item, len(item.before) + size + len(item.between))
                for item, size in zip(batch, sizes, strict=True)
            ],
            IGNORED,
        )
        embeddings = parts.embed(_right(rows)).clone()
        for row, (item, size) in enumerate(zip(batch, sizes, strict=True)):
            embeddings[row, len(item.before) : len(item.before) + size] = audio[row][:size]
        student = parts.lm(inputs_embeds=embeddings, labels=labels, attention_mask=_right(_ones(rows)))
        texts = [parts.ids(item.teacher_prompt, item.target) for item in batch]
        read = _right([_labels(parts, item, len(item.teacher_prompt)) for item in batch], IGNORED)
        with torch.no_grad():
            teacher = parts.lm(
                inputs_embeds=parts.embed(_right(texts)), labels=read, attention_mask=_right(_ones(texts))
            )

        def divergence(
            of_student: torch.Tensor, of_teacher: torch.Tensor, student: Any = student, teacher: Any = teacher
        ) -> torch.Tensor:
            return F.kl_div(
                F.log_softmax(student.logits[of_student] / temperature, -1),
                F.softmax(teacher.logits[of_teacher] / temperature, -1),
                reduction="batchmean",
            )

        (mask, last), (mask_read, last_read) = _predicting(labels), _predicting(read)
        number, loss = int(mask.sum()), divergence(mask, mask_read)
        at_end = divergence(last, last_read)
        (loss * number / total + end * at_end * len(batch) / len(items)).backward()
        parts.count(_right(_ones(rows)))
        parts.count(_right(_ones(texts)))
        yield float(loss.detach()) * number, number


def _predicting(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The positions (B, U) that predict a label, and the last one of each row."""
    mask = F.pad(labels[:, 1:] != IGNORED, (0, 1))
    last = torch.zeros_like(mask)
    for row in range(len(mask)):
        last[row, torch.where(mask[row])[0][-1]] = True
    return mask, last


def shuffled(items: list[Item]) -> list[Item]:
    """The items in a random order, as none of these arms but two sorts them."""
    return [items[row] for row in np.random.default_rng(0).permutation(len(items))]
