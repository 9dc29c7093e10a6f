"""The model folder: a trained connector with all that is needed to use it again.

    auralign export hparams/sift.yaml my_model        # in a recipe's folder, after stage 3
    auralign ask my_model a.wav b.flac "what was said?"

    model = auralign.load("my_model")
    model.answer("a.wav", "what was said? {speech}")

`trainable.safetensors` holds the weights, `auralign.json` names encoder, LLM and connector, `README.md` is the model card.
The folder is data: `load` runs no code that came with it, and calls nothing but constructors of `auralign.models`. It is made to
be published: encoder and LLM are told by the hash of their content and by a path from the folder, or by name alone where
that path would tell of a home; whoever exported it need not say where they are, as that is remembered in the user's cache.
"""

import contextlib
import dataclasses
import difflib
import functools
import importlib
import itertools
import json
import os
import queue
import re
import shutil
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from auralign import __version__
from auralign.data.audio import AudioError, hear, hear_array
from auralign.files import (
    hash_path,
    make_folder_atomically,
    read_json,
    recall_place,
    remember_place,
    without_places,
    write_json,
)
from auralign.fingerprint import describe
from auralign.layout import SLOT, Speech, Text, View, fill
from auralign.method import cite, in_slot, is_assisted
from auralign.models.build import (
    build_decoding,
    build_model,
    check_device,
    check_parts,
    describe_parts,
    make_renderer,
    prompts_of,
)
from auralign.models.encoders import SpeechEncoder
from auralign.models.llm import ALL, Decoding, lora_options
from auralign.models.speech_llm import Branch, SpeechLLM
from auralign.names import canonical
from auralign.render import ENDLESS, Renderer, tell_change
from auralign.train.checkpoint import WEIGHTS, Checkpoints
from auralign.train.resume import tell_changes
from auralign.versions import current_checkpoints

CONFIG, CARD = "auralign.json", "README.md"
TRANSCRIPT = "{transcript}"  # where it stands in the slot of a model that is given one beside the speech
SCHEMA = 1
ALLOWED = "auralign.models."
NEEDED = (
    "llm",
    "encoder",
    "connector",
    "lora",
    "system_prompt",
    "template_options",
    "frame_hash",
    "slot",
    "decoding",
)


@dataclass
class PretrainedModel:
    """An LLM that hears: `answer` audio with it."""

    model: SpeechLLM
    renderer: Renderer
    decoding: Decoding
    config: dict

    def answer(
        self,
        audio,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | list[str] | None = None,
        **decoding,
    ):
        """The LLM's answer.

        Arguments
        ---------
        audio : path, array or tensor, or list of these
            Arrays as `auralign.data.audio.hear_array` takes them: floats between -1 and 1 or integers, of one or more channels.
        prompt : str, optional
            What is asked; `{speech}` stands where the speech goes, and without it the speech comes first. None asks nothing.
        sample_rate : int, optional
            Of arrays, in Hz; the encoder's unless given.
        transcript : str or list of str, optional
            Of each audio, for a model that was trained with one beside the speech; without it the speech stands alone.
        decoding
            `max_new_tokens`, `num_beams` and the other fields of `auralign.models.llm.Decoding`; the recipe's unless given.

        Returns str for one audio, list of str for a list.

        Raises AudioError where audio cannot be used, or is longer than the encoder or the LLM takes. What is odd in it, or was
        changed on reading, is a line on stderr.
        """
        several = isinstance(audio, (list, tuple))
        if several and not audio:
            return []
        audio = list(audio) if several else [audio]
        transcripts = list(transcript) if isinstance(transcript, (list, tuple)) else [transcript] * len(audio)
        if len(transcripts) != len(audio):
            raise ValueError(f"{len(transcripts)} transcripts for {len(audio)} audios; give one for each")
        asked = self._ask(audio, prompt, sample_rate, transcripts, decoding)
        answers = self.model.answer(**asked)
        strings = asked["decoding"].stop_strings
        readings = [self.renderer.read(answer.ids, stop_strings=strings) for answer in answers]
        for one, reading in zip(audio, readings, strict=True):
            if reading.reason:
                warnings.warn(f"{_name(one)}: {self._tell(reading.reason)}", stacklevel=2)
        texts = [reading.text for reading in readings]
        return texts if several else texts[0]

    def _tell(self, reason: str) -> str:
        """Why an answer is not whole, and what to do."""
        if reason == ENDLESS:
            return "the LLM never came out of its reasoning; raise max_new_tokens"
        return f"the answer was cut off before a {reason}"

    def stream(
        self,
        audio,
        prompt: str | None = None,
        *,
        sample_rate: int | None = None,
        transcript: str | None = None,
        **decoding,
    ) -> Iterator[str]:
        """The answer to one audio piece by piece, as the LLM gives it; joined, the pieces are what `answer` returns, but for
        space around it. Arguments as for `answer`; greedy only."""
        from transformers.generation.streamers import BaseStreamer

        class Tokens(BaseStreamer):
            """Hands on the LLM's tokens; what comes first is the prompt."""

            def __init__(self):
                self.queue: queue.Queue = queue.Queue()
                self.begun = False

            def put(self, value):
                if self.begun:
                    for token in value.flatten().tolist():
                        self.queue.put(token)
                self.begun = True

            def end(self):
                self.queue.put(None)

        if isinstance(audio, (list, tuple)):
            raise ValueError(f"a stream is the answer to one audio, not to {len(audio)}; use answer")
        asked = self._ask([audio], prompt, sample_rate, [transcript], {"num_beams": 1, **decoding})
        streamer = Tokens()
        failed: queue.Queue = queue.Queue()

        def work():
            try:
                self.model.answer(**asked, streamer=streamer)
            except Exception as error:  # handed to whoever reads the stream, who would wait for ever
                failed.put(error)
                streamer.end()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield from _before(asked["decoding"].stop_strings, self._say(iter(streamer.queue.get, None)))
        thread.join()
        if not failed.empty():
            raise failed.get()

    def _say(self, tokens: Iterator[int]) -> Iterator[str]:
        """What the LLM says with its tokens, as soon as it is sure to be said: reasoning is not."""
        ids, told = [], ""
        for token in itertools.takewhile(lambda token: token not in self.renderer.stop_ids, tokens):
            ids.append(token)
            sure = self.renderer.reasoning.sure(self.renderer.read(ids).text.rstrip("\ufffd"))
            if sure.startswith(told) and sure != told:
                yield sure[len(told) :]
                told = sure
        text = self.renderer.read(ids).text
        yield text.removeprefix(told)

    @torch.no_grad()
    def _ask(self, audio: list, prompt: str | None, sample_rate: int | None, transcripts, decoding) -> dict:
        """What `SpeechLLM.answer` is given: prompts, embeddings of the speech that goes into each, and the decoding."""
        decoding = dataclasses.replace(self.decoding, **decoding)
        for word in re.findall(r"\{\w+\}", prompt or ""):
            if word != SLOT and difflib.get_close_matches(word, [SLOT], cutoff=0.75):
                raise ValueError(f"the prompt holds {word}; did you mean {SLOT}?")
        if prompt is not None and SLOT not in prompt:
            prompt = f"{SLOT}\n{prompt}"
        prompts = [self.renderer.render(View(fill(prompt, *self._slot(text)))) for text in transcripts]
        waveforms = [self._read(one, sample_rate) for one in audio]
        speech, _ = self.model.listen(prompts, self.model.encode(waveforms))
        for one, rendered, heard in zip(audio, prompts, speech, strict=True):
            try:
                self.model.check_fits(rendered, heard)
            except ValueError as error:
                raise AudioError(f"{_name(one)}: {error}") from error
        return {
            "prompts": prompts,
            "speech": speech,
            "decoding": decoding,
            "stop_ids": self.renderer.stop_ids,
            "seconds": [len(waveform) / self.model.encoder.sample_rate for waveform in waveforms],
        }

    def _slot(self, transcript: str | None):
        """What stands in the prompt's slot."""
        if transcript and "assisted_slot" not in self.config:
            raise ValueError("this model was trained without a transcript beside the speech; leave it out")
        segments = self.config["assisted_slot" if transcript else "slot"]
        return [
            Speech("", branch=value, span=tuple(span) or (0.0, 1.0))
            if kind == "speech"
            else Text(value.replace(TRANSCRIPT, transcript or ""), tag="slot")
            for kind, value, *span in segments
        ]

    def _read(self, audio, sample_rate: int | None) -> np.ndarray:
        encoder = self.model.encoder
        if isinstance(audio, (str, os.PathLike)):
            heard = hear(audio, sample_rate=encoder.sample_rate)
        else:
            rate = encoder.sample_rate
            heard = hear_array(audio, sample_rate=sample_rate or rate, wanted_rate=rate)
        for note, detail in heard.notes:
            print(f"warning: {_name(audio)} is {note}{f' ({detail})' if detail else ''}", file=sys.stderr)
        waveform = heard.samples
        seconds = len(waveform) / encoder.sample_rate
        for one in self.model.encoders.values():
            if not one.hears(seconds):
                raise AudioError(f"{_name(audio)} {one.too_long(seconds)}")
        return waveform


def _before(stop_strings, pieces) -> Iterator[str]:
    """The text of the pieces up to the first stop string, as soon as it cannot be the beginning of one."""
    held, longest = "", max(map(len, stop_strings), default=1)
    for piece in pieces:
        held += piece
        ends = [held.find(string) for string in stop_strings if string in held]
        sure = min(ends, default=max(0, len(held) - longest + 1))
        if held[:sure]:
            yield held[:sure]
        if ends:
            return
        held = held[sure:]
    if held:
        yield held


def _name(audio) -> str:
    return str(audio) if isinstance(audio, (str, os.PathLike)) else "the array"


def export(hparams, folder, *, report=None) -> None:
    """Write a recipe's best checkpoint as a model folder.

    Arguments
    ---------
    hparams : SimpleNamespace
        Of `auralign.hparams`.
    folder : path
        Must not exist yet.
    report : path, optional
        Of stage 5: the ledger goes into the model card.

    Raises FileExistsError where the folder is there, FileNotFoundError where stage 3 was not run.
    """
    if Path(folder).exists():
        raise FileExistsError(f"{folder} is there already; give another name, or remove it")
    best = Checkpoints(current_checkpoints(hparams.output_folder)).best()
    model, renderer = build_model(hparams, prompts=prompts_of(best.description))
    check_parts(best.description, describe_parts(hparams, model, renderer), place=best.folder)
    config = {
        "schema": SCHEMA,
        "auralign": __version__,
        "method": f"{hparams.method.name} {hparams.method.version}",
        "paper": hparams.method.paper,
        "llm": {
            **_account(describe(hparams.llm), folder),
            "name": model.llm.name,
            "revision": model.llm.revision,
        },
        "encoder": {**_account(describe(hparams.encoder), folder), "fingerprint": model.encoder.fingerprint},
        "connector": _account(describe(hparams.connector), folder),
        "branches": {
            name: {
                "encoder": {
                    **_account(describe(parts["encoder"]), folder),
                    "fingerprint": model.encoders[name].fingerprint,
                },
                "connector": _account(describe(parts["connector"]), folder),
            }
            for name, parts in hparams.branches.items()
        },
        "lora": None if hparams.lora is None else lora_options(hparams.lora().to_dict()),
        "lora_scope": hparams.lora_scope,
        "train_llm": hparams.train_llm,
        "slot": _account_of_slot(hparams.method, ""),
        "sample_rate": model.encoder.sample_rate,
        "system_prompt": hparams.system_prompt,
        "template_options": hparams.template_options,
        "frame_hash": renderer.frame_hash,
        "prompts": renderer.describe(),
        "decoding": dataclasses.asdict(build_decoding(hparams)),
        "step": best.step,
        "valid_loss": best.valid_loss,
        "history": best.description.get("history", []),
    }
    if is_assisted(hparams.method):
        config["assisted_slot"] = _account_of_slot(hparams.method, TRANSCRIPT)
    for_the_loss = tuple(f"{name}_head." for name in model.heads)
    weights = {name: value for name, value in best.weights().items() if not name.startswith(for_the_loss)}
    with make_folder_atomically(folder) as temporary:
        save_file(weights, temporary / WEIGHTS)
        write_json(temporary / CONFIG, config)
        card = _card(hparams, config, report)
        (temporary / CARD).write_text(card, encoding="utf-8")
        for picture in Path(report).parent.glob("*.png") if report else ():  # that the report shows
            shutil.copy(picture, temporary)


def _account_of_slot(method, transcript: str) -> list:
    """What stands in the `{speech}` slot: ["text", text] or ["speech", branch, start, end]."""
    return [
        ["speech", segment.branch, *segment.span] if isinstance(segment, Speech) else ["text", segment.text]
        for segment in in_slot(method, transcript)
    ]


def _account(described: dict, folder) -> dict:
    """A constructor's path and arguments for the model folder, which is published: a path among them is told from that
    folder, or where that would say more of this machine, by its name alone; `places` has the hash of what is there."""
    told, places = {}, {}
    for name, value in described["with"].items():
        if isinstance(value, dict) and "call" in value:
            value = _account(value, folder)
        elif isinstance(value, str) and (name == "path" or os.sep in value) and os.path.exists(value):
            places[name] = hash_path(value)
            remember_place(places[name], value)
            value = _seen_from(folder, value)
        told[name] = value
    args = [
        Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
        for value in described.get("args", [])
    ]
    return {"call": described["call"], "args": args, "with": told} | ({"places": places} if places else {})


def _seen_from(folder, path) -> str:
    """A path from a folder, if both have a folder of this machine in common that is not the root, or a home's parent."""
    start, target, home = (Path(place).resolve() for place in (folder, path, Path.home()))
    common = Path(os.path.commonpath([start, target]))
    is_private = target.is_relative_to(home) and not start.is_relative_to(home)
    if is_private or (len(common.parts) < 3 and common != home):
        return target.name
    return os.path.relpath(target, start)


def _card(hparams, config: dict, report) -> str:
    licence = _licence(getattr(hparams.llm, "keywords", {}).get("path"))
    options = _without_folders(hparams.method.options())
    trained = [
        "connector",
        *["LoRA"] * bool(config["lora"]),
        *["the weights of the LLM"] * config["train_llm"],
    ]
    lines = [
        f"# {config['llm']['name']} with ears, by {hparams.method.name}",
        "",
        "A connector that lets an LLM hear through a frozen speech encoder. This folder holds what was trained, the",
        f"{' and '.join(trained)}: encoder and LLM are needed beside it.",
        "",
        "    import auralign",
        '    model = auralign.load("THIS FOLDER")            # llm=..., encoder=... where they stand elsewhere',
        '    model.answer("speech.wav", "What was said?")',
        "",
        "| part | what |",
        "|---|---|",
        f"| LLM | {config['llm']['name']}, revision {config['llm']['revision']}; its licence: {licence} |",
        f"| encoder | {config['encoder']['call']}, {json.dumps(_without_folders(config['encoder']['with']))} |",
        f"| connector | {config['connector']['call']}, {json.dumps(_without_folders(config['connector']['with']))} |",
        *(
            f"| branch {name} | {parts['encoder']['call']}, {json.dumps(_without_folders(parts['encoder']['with']))}; "
            f"{parts['connector']['call']}, {json.dumps(_without_folders(parts['connector']['with']))} |"
            for name, parts in config["branches"].items()
        ),
        *(
            [f"| LoRA | {json.dumps(config['lora'])}, on positions: {config['lora_scope']} |"]
            if config["lora"]
            else []
        ),
        f"| method | {config['method']}, {cite(config['paper'])}; options {json.dumps(options)} |",
        f"| data | {Path(hparams.data_folder).name}; seed {hparams.seed} |",
        f"| training | step {config['step']}, validation loss {config['valid_loss']:.4f}; auralign {config['auralign']} |",
        *(
            [f"| changed on the way | {'; '.join(map(_tell_entry, config['history']))} |"]
            if config["history"]
            else []
        ),
        "",
        "What the LLM's licence says of its outputs holds for the targets that this connector learned from.",
        "",
        without_places(_without_examples(Path(report).read_text(encoding="utf-8").replace("# ", "## ", 1)))
        if report
        else "The gap ledger: not run.",
    ]
    return "\n".join(lines).rstrip() + "\n"


def _tell_entry(entry: dict) -> str:
    return f"at step {entry['step']}: {tell_changes(entry)}"


def _without_folders(value):
    """A card is published: where things stood on this machine is nobody's business."""
    if isinstance(value, dict):
        return {name: _without_folders(item) for name, item in value.items() if name != "places"}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    outside = isinstance(value, str) and (os.path.isabs(value) or value.startswith(f"..{os.sep}"))
    return Path(value).name if outside else value


def _without_examples(report: str) -> str:
    """The report without the sentences of its test set."""
    return re.sub(r"^## Wrong answers\n.*?(?=^## )", "", report, flags=re.MULTILINE | re.DOTALL)


def _licence(path) -> str:
    """What the front matter of an LLM's own model card says."""
    card = Path(path or "") / "README.md"
    if path and card.is_file():
        found = re.search(r"^license: *(\S+)", card.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return found.group(1)
    return "not stated beside it; see its source"


def load(
    folder,
    *,
    llm=None,
    encoder=None,
    connector=None,
    branches=None,
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> PretrainedModel:
    """Load a model folder.

    Arguments
    ---------
    folder : path
        Written by `export`.
    llm, encoder : path, optional
        Where they stand now, if not where they stood. Another LLM or encoder than was trained with is refused. An encoder
        that is not auralign's own is given itself, as a `SpeechEncoder`.
    connector : constructor, optional
        Of a connector that is not auralign's own; called with the widths of encoder and LLM.
    branches : dict of str to path, optional
        Where the encoders of further branches stand now, by name; or these themselves, as `encoder`.
    device : str
        "cpu" or "cuda:N".
    trust_remote_code : bool
        Run Python code that came with the LLM, where it needs it. Nothing in the folder can set this.

    Raises
    ------
    FileNotFoundError : the folder, the LLM or the encoder is not there.
    ValueError : the folder names another LLM, encoder or prompt than there is, or something that is not auralign's.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"no {CONFIG} in {folder}; give a folder that `auralign export` wrote")
    check_device(device)
    config = read_json(path, repair="export or copy the folder again")
    try:
        return _load(Path(folder), config, llm, encoder, connector, branches, device, trust_remote_code)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: does not say what a model folder says ({type(error).__name__}: {error}); export the model again"
        ) from error


def _load(
    folder: Path, config: dict, llm, encoder, connector, branches, device: str, trust_remote_code: bool
) -> PretrainedModel:
    path = folder / CONFIG
    if config.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema {config.get('schema')}, this auralign {__version__} reads {SCHEMA}")
    missing = [name for name in NEEDED if name not in config]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}; export the model again")
    trust = {"trust_remote_code": True} if trust_remote_code else {}
    its_llm = _constructor(config["llm"], path, path_now=llm, what="llm")(**trust, device=device)
    if not isinstance(encoder, SpeechEncoder):
        encoder = _constructor(config["encoder"], path, path_now=encoder, what="encoder")()
    its_encoder = encoder.to(device)
    make_connector = connector or _constructor(config["connector"], path)
    there = config.get("branches", {})
    unknown = sorted(set(branches or ()) - set(there))
    if unknown:
        raise ValueError(f"{path}: has no branch {unknown[0]!r}; it has {', '.join(there) or 'none'}")
    made_branches = {
        name: _load_branch(name, parts, path, (branches or {}).get(name), its_llm)
        for name, parts in there.items()
    }
    if config["lora"] is not None:
        from peft import LoraConfig

        its_llm.add_lora(LoraConfig(**lora_options(config["lora"])), scope=config.get("lora_scope", ALL))
    if config.get("train_llm"):
        its_llm.unfreeze()
    made = make_connector(its_encoder.width, its_llm.width)
    model = SpeechLLM(its_encoder, made, its_llm, branches=made_branches).to(device)
    renderer = make_renderer(
        its_llm, config["system_prompt"], config["template_options"], prompts=prompts_of(config)
    )
    for what, found, needed in (
        ("LLM", its_llm.revision, config["llm"]["revision"]),
        ("encoder", its_encoder.fingerprint, config["encoder"]["fingerprint"]),
        ("prompt frame", renderer.frame_hash, config["frame_hash"]),
    ):
        if found != needed:
            change = tell_change(config.get("prompts"), renderer.describe()) if what == "prompt frame" else ""
            raise ValueError(
                f"{folder}: was trained with {what} {needed}, this is {found}{change}; give the one that it was trained with"
            )
    try:
        model.parts.load_state_dict(load_file(folder / WEIGHTS, device=device), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{folder / WEIGHTS}: not the weights of the parts that {CONFIG} names, or not whole; export or copy the "
            f"folder again ({str(error).splitlines()[0]})"
        ) from error
    return PretrainedModel(model.eval(), renderer, Decoding(**config["decoding"]), config)


def _load_branch(name: str, parts: dict, place, encoder, llm) -> Branch:
    if not isinstance(encoder, SpeechEncoder):
        option = f"branches={{{name!r}: PATH}}"
        encoder = _constructor(parts["encoder"], place, path_now=encoder, what="encoder", option=option)()
    if encoder.fingerprint != parts["encoder"]["fingerprint"]:
        raise ValueError(
            f"{place}: the branch {name!r} was trained with encoder {parts['encoder']['fingerprint']}, this is "
            f"{encoder.fingerprint}; give the one that it was trained with"
        )
    return Branch(encoder, _constructor(parts["connector"], place)(encoder.width, llm.width))


def _find_place(told: str, digest: str, folder: Path) -> str:
    """Where something stands that `_account` wrote of: as told, or where this user last had it under that name."""
    if not (folder / told).exists():
        place = recall_place(digest)
        return str(place) if place and place.name == Path(told).name else told
    return str(folder / told)


def _constructor(account: dict, place, *, path_now=None, what: str = "", option: str = ""):
    """A constructor of `auralign.models` with its arguments; anything else that the file names is refused."""
    path = canonical(account["call"])
    module, _, name = path.rpartition(".")
    found = None
    if f"{module}.".startswith(ALLOWED):
        with contextlib.suppress(ModuleNotFoundError):
            found = getattr(importlib.import_module(module), name, None)
    if canonical(f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}") != path:
        raise ValueError(
            f"{place}: names {account['call']}, which is not among {ALLOWED}*; if you trust it, import it yourself and give "
            f"it to load(..., {option or (what or 'connector') + '=...'})"
        )
    arguments = {
        key: _constructor(value, place) if isinstance(value, dict) and "call" in value else value
        for key, value in account["with"].items()
        if key != "trust_remote_code"
    }
    for key, digest in account.get("places", {}).items():
        arguments[key] = _find_place(arguments[key], digest, Path(place).parent)
    if what:
        arguments["path"] = str(path_now or arguments.get("path"))
        if path_now and not Path(path_now).exists():
            raise FileNotFoundError(f"no {what} at {path_now}: no such folder")
        if not Path(arguments["path"]).exists():
            raise FileNotFoundError(
                f"{place}: its {what} stood at {arguments['path']}, where nothing is; give its place: load(..., "
                f"{option or what + '=PATH'})"
            )
    return functools.partial(found, *account["args"], **arguments)
