"""What a validation shows: a line of losses, a line of the comparison, and the model's answers to some utterances."""

from collections.abc import Iterator

from auralign.models.llm import Decoding
from auralign.models.speech_llm import SpeechLLM, on_device
from auralign.progress import track
from auralign.records import shorten
from auralign.train.examples import Examples


def show_answers(model: SpeechLLM, valid: Examples, *, decoding: Decoding, count: int) -> list[dict]:
    """The model's answers to the first `count` examples of the validation set: what was said and asked, target and answer; a
    document is not answered."""
    shown = []
    for example in track(range(min(count, len(valid))), "answer after validation", unit="answer"):
        target, prompt, utterance = valid.prompt(example)
        if prompt is None:
            continue
        frames = on_device(valid.frames.get([*valid.heard(example)]), model.llm.device)
        speech, _ = model.listen([prompt], frames, rows=[valid.spans(example, prompt)])
        shown.append(
            {
                "said": utterance.text,
                "asked": target.choice.instruction,
                "target": target.response,
                "answered": _answer(
                    model, prompt, speech[0], utterance.seconds, valid=valid, decoding=decoding
                ),
            }
        )
    return shown


def _answer(model, prompt, speech, seconds: float, *, valid: Examples, decoding: Decoding) -> str:
    try:
        model.check_fits(prompt, speech)
    except ValueError as error:  # a connector that counts tokens may be far off at first
        return f"(none: {error})"
    (answer,) = model.answer(
        [prompt], [speech], decoding=decoding, stop_ids=valid.renderer.stop_ids, seconds=[seconds]
    )
    return valid.renderer.read(answer.ids, stop_strings=decoding.stop_strings).text


def describe(entry: dict) -> Iterator[str]:
    """The lines about one entry of the log."""
    terms = [f"{name} {mean:.3f}" for name, mean in entry["valid_terms"].items()]
    train_loss, skipped = entry["train_loss"], entry.get("skipped", ())
    num_split = entry.get("packs_split", 0)
    yield (
        f"step {entry['step']}: train loss {'none' if train_loss is None else f'{train_loss:.3f}'}, "
        f"valid loss {entry['valid_loss']:.3f}"
        + (f" ({', '.join(terms)})" if len(terms) > 1 else "")
        + (f", {len(skipped)} steps skipped" if skipped else "")
        + (f", {num_split} packs split for want of memory" if num_split else "")
    )
    held = entry.get("held", {})
    if held:
        parts = [f"{name} {number / sum(held.values()):.1%}" for name, number in held.items()]
        yield f"    LLM positions since the last validation: {', '.join(parts)} of {sum(held.values())}"
    for name, ids in entry.get("left_out", {}).items():
        yield f"    {name}: {len(ids)} utterances left out of training, such as {ids[0]}; the log names all"
    for name, number in entry.get("valid_left_out", {}).items():
        yield f"    {name}: {number} utterances left out of validation"
    for answer in entry["answers"]:
        yield "    {said} -> {answered} (target {target})".format(
            **{name: shorten(repr(answer[name])) for name in ("said", "answered", "target")}
        )
