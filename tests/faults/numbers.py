"""Values that overflow, are no numbers, of another type, or padding alone: named in a line, or weights and losses stay finite."""

import io
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from faults.trying import LOST, SILENT, SURVIVED, Planned, Try
from faults.workplace import Workplace

TARGETS = "exp/sift/targets/train.jsonl"
LLM, ENCODER = "models/llm/model.safetensors", "models/whisper/model.safetensors"


@dataclass(frozen=True)
class Case:
    """What is done to the folder before a stage, further arguments of it, and the word that must then be printed, if any must."""

    stage: str = "train"
    more: tuple[str, ...] = ()
    change: Callable[[Path], None] | None = None
    says: str = ""


def numbers(workplace: Workplace, random: Random) -> list[Planned]:
    """Overflow in fp16 and bf16, rates without bounds, weights and audio that are not finite, empty audio, dtypes that differ."""
    workplace.prepare()
    return [partial(_try_case, workplace, name, case) for name, case in _cases().items()]


def _cases() -> dict[str, Case]:
    cases = {
        f"precision {precision}, lr {lr}": Case(more=("--precision", precision, "--lr", lr))
        for precision in ("fp32", "bf16", "fp16")
        for lr in ("1e-2", "1e4", "1e30")
    }
    cases["without clipping, lr 1e4"] = Case(more=("--lr", "1e4", "--max_grad_norm", "1e30"))
    for dtype in ("float16", "bfloat16", "float64"):
        cases[f"the LLM in {dtype}"] = Case(more=("--llm.dtype", dtype))
        cases[f"the encoder in {dtype}"] = Case(more=("--encoder.dtype", dtype))
    for value in (math.nan, math.inf, 3e38):
        cases[f"a weight of the encoder is {value:g}"] = Case(
            change=partial(_set_weights, ENCODER, value), says="finite"
        )
        for stage in ("generate", "train", "decode"):
            cases[f"{stage}, a weight of the LLM is {value:g}"] = Case(
                stage, change=partial(_set_weights, LLM, value), says="finite"
            )
    for name, value in (("no numbers", math.nan), ("1e37", 1e37), ("infinite", -math.inf)):
        cases[f"samples of an utterance are {name}"] = Case(
            change=partial(_write_audio, [value] * 8_000), says="train-0"
        )
    for name, samples in (("no samples", []), ("one sample", [0.1])):
        cases[f"an utterance has {name}"] = Case(change=partial(_write_audio, samples), says="train-0")
    cases["an utterance is silent"] = Case(change=partial(_write_audio, [0.0] * 8_000))
    cases["all utterances of a validation are silent"] = Case(change=_silence_validation)
    for name, text in (("empty", ""), ("of spaces", "   ")):  # then the end of the turn alone is taught
        cases[f"a target is {name}"] = Case(change=partial(_set_targets, text, 1))
        cases[f"all targets are {name}"] = Case(change=partial(_set_targets, text, None))
    for dtype in ("float64", "float16", "int8"):
        cases[f"cached frames are {dtype}"] = Case(change=partial(_cast_frames, dtype))
    return cases


def _try_case(workplace: Workplace, name: str, case: Case) -> Try:
    workplace.reset(case.stage)
    if case.change is not None:
        case.change(workplace.here)
    code = workplace.run(case.stage, *case.more)
    printed = workplace.printed
    if "Traceback" in printed:
        return Try(name, LOST, printed.strip()[-300:])
    if code:
        return Try(name, SURVIVED)
    if case.says and case.says not in printed:
        return Try(name, SILENT, f"it ended with 0, and nothing says {case.says!r}")
    return _check_training(workplace, name) if case.stage == "train" else Try(name, SURVIVED)


def _check_training(workplace: Workplace, name: str) -> Try:
    """Whether a training that ended well has finite weights and losses; a stretch of skipped steps has no loss, and says so."""
    import numpy as np
    from safetensors.numpy import load_file

    run = workplace.here / "exp" / "sift"
    for path in run.glob("checkpoints/*/trainable.safetensors"):
        if not all(np.isfinite(value).all() for value in load_file(path).values()):
            return Try(name, SILENT, f"{path.parent.name} has weights that are not finite")
    log = json.loads((run / "log.json").read_text(encoding="utf-8"))
    for entry in log:
        is_true = math.isfinite(entry["valid_loss"])
        is_true &= (
            math.isfinite(entry["train_loss"]) if entry["train_loss"] is not None else bool(entry["skipped"])
        )
        if not is_true:
            return Try(name, SILENT, f"the log of step {entry['step']} has no finite loss")
    return Try(name, SURVIVED)


def _set_weights(file: str, value: float, folder: Path) -> None:
    """Set the first weight of every tensor of a safetensors file, all of which are float32."""
    path = folder / file
    content = bytearray(path.read_bytes())
    (size,) = struct.unpack("<Q", content[:8])
    for name, about in json.loads(content[8 : 8 + size]).items():
        if name != "__metadata__":
            start = 8 + size + about["data_offsets"][0]
            content[start : start + 4] = struct.pack("<f", value)
    path.write_bytes(content)


def _write_audio(samples: list[float], folder: Path) -> None:
    """Write float samples as an utterance of the training, whatever the ending of its name."""
    import numpy as np
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.array(samples, np.float32), 16_000, format="WAV", subtype="FLOAT")
    (folder / "data" / "train-0.flac").write_bytes(file.getvalue())


def _silence_validation(folder: Path) -> None:
    import numpy as np
    import soundfile

    for path in (folder / "data").glob("valid-*.flac"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, np.zeros_like(samples), rate)


def _set_targets(text: str, count: int | None, folder: Path) -> None:
    """Give targets, the first `count` of them or all, another response, as somebody does who edits them by hand."""
    path = folder / TARGETS
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(rows[:count]):
        rows[number] = json.dumps(
            json.loads(row) | {"response": text, "response_ids": []}, ensure_ascii=False
        )
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    (path.parents[1] / ".generate.done.json").unlink(missing_ok=True)
    for mark in path.parent.glob(".*.done.json"):
        mark.unlink()


def _cast_frames(dtype: str, folder: Path) -> None:
    import numpy as np

    for path in (folder / "data" / "frames").glob("*.npy"):
        np.save(path, np.load(path).astype(dtype))
