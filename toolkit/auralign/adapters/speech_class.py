"""The adapter of a speech LLM of transformers: Qwen2-Audio, Audio Flamingo 3, Voxtral, and Ultravox, which brings its own code.

    SpeechClass(Path("models/Qwen2-Audio-7B-Instruct"), device="cuda:0").answer([Prompt("Repeat: ", samples)])

A turn is written in one of three ways:

| folder | how speech is put into a turn |
|---|---|
| with a processor | a part of the message, by its chat template: Qwen2-Audio, Audio Flamingo 3, Voxtral (by mistral-common) |
| of an Ultravox | `<|audio|>` in the text, which its processor replaces |
| without a processor | the audio token, once for each embedding: what `auralign export --as voxtral` writes |

Tried on tiny models with random weights. The published models: not run.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from auralign.adapters.endpoint import encode_wav
from auralign.adapters.other_model import MAX_NEW_TOKENS, SAMPLE_RATE, OtherModel, Prompt, Reply
from auralign.adapters.places import CONFIG, type_of
from auralign.files import hash_path, hash_value
from auralign.hub import name_of, reference_of
from auralign.models.folder import check_complete, loading, read_object

CLASSES = {
    "qwen2_audio": "Qwen2AudioForConditionalGeneration",
    "audioflamingo3": "AudioFlamingo3ForConditionalGeneration",
    "voxtral": "VoxtralForConditionalGeneration",
    "ultravox": "AutoModel",
}
PLACEHOLDER = "<|audio|>"  # of an Ultravox
PROCESSORS = ("processor_config.json", "tekken.json")  # either shows that a folder has a processor


def _has_processor(folder: Path) -> bool:
    """Whether a folder names a processor; older ones do so among the settings of the feature extractor."""
    if any((folder / name).is_file() for name in PROCESSORS):
        return True
    settings = folder / "preprocessor_config.json"
    return settings.is_file() and "processor_class" in read_object(settings)


class SpeechClass(OtherModel):
    """A speech LLM of transformers.

    Arguments
    ---------
    folder : Path
    name : str, optional
        For tables; default: that of the folder.
    device : str
    max_new_tokens : int, optional
        Default 128.
    trust_remote_code : bool
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        device: str = "cpu",
        max_new_tokens: int | None = None,
        trust_remote_code: bool = False,
    ):
        import transformers

        found = type_of(folder)
        if found not in CLASSES:
            raise ValueError(
                f"{folder / CONFIG}: there is no adapter of the model_type {found!r}, but of {', '.join(CLASSES)}; give such a "
                "model, or write an adapter (auralign.adapters.OtherModel)"
            )
        if found == "ultravox" and not trust_remote_code:
            raise ValueError(
                f"{folder}: an Ultravox runs Python code of its folder; allow it: --trust-remote-code"
            )
        self.folder, self.kind = folder.resolve(), found
        reference = reference_of(self.folder)
        self.name = name or name_of(self.folder)
        self.short_name = Path(reference.id).name if reference else self.folder.name
        # Nothing is written into the hub's cache.
        self.beside = Path.cwd() if reference else self.folder.parent
        self.max_new_tokens, self.device = max_new_tokens or MAX_NEW_TOKENS, device
        trust = {"trust_remote_code": True} if trust_remote_code else {}
        self.has_processor = found == "ultravox" or _has_processor(folder)
        if not (self.has_processor or found == "voxtral"):
            raise ValueError(
                f"{folder}: has no processor ({PROCESSORS[0]}), by which its speech is counted; download the whole folder, or "
                "export the run with a tokenizer that has one"
            )
        with loading(folder):
            kind = getattr(transformers, CLASSES[found])
            self.model, info = kind.from_pretrained(folder, output_loading_info=True, **trust)
            if self.has_processor:
                self.processor = transformers.AutoProcessor.from_pretrained(folder, **trust)
                self.tokenizer = self.processor.tokenizer
            else:
                self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
                self.extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
        if found != "ultravox":  # whose code loads the encoder and the LLM from other folders
            check_complete(folder, info["missing_keys"], what=f"weights of {CLASSES[found]}")
        self.model.to(device).eval()

    def identity(self) -> str:
        """A hash of the folder's files and the length limit."""
        return hash_value([hash_path(self.folder), self.max_new_tokens])

    def answer(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """The answers, one after the other, as padding changes the rounding of a model's numbers."""
        return [self._answer(prompt) for prompt in prompts]

    @torch.no_grad()
    def _answer(self, prompt: Prompt) -> Reply:
        inputs = {
            name: value.to(self.device, self.model.dtype)
            if value.is_floating_point()
            else value.to(self.device)
            for name, value in self._read(prompt).items()
        }
        length = inputs["input_ids"].shape[1]
        written = self.model.generate(
            **inputs, max_new_tokens=self.max_new_tokens, do_sample=False, num_beams=1
        )[0, length:]
        ends = self.model.generation_config.eos_token_id
        ends = [ends] if isinstance(ends, int) else ends or [self.tokenizer.eos_token_id]
        is_cut = len(written) >= self.max_new_tokens and int(written[-1]) not in ends
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        return Reply(text.strip(), "length" if is_cut else "stop")

    def _read(self, prompt: Prompt) -> dict[str, Any]:
        """The inputs of the model, tensors by name."""
        if self.kind == "ultravox":
            return self._read_placeholder(prompt)
        return self._read_parts(prompt) if self.has_processor else self._read_tokens(prompt)

    def _read_parts(self, prompt: Prompt) -> dict[str, Any]:
        """By the processor's chat template, which takes speech as a part of a message."""
        turns = [{"role": "user", "content": self._parts(prompt, self._speech(prompt.speech))}]
        # The processor of Voxtral asks mistral-common, and takes none of these options.
        options = (
            {}
            if self.kind == "voxtral"
            else {
                "add_generation_prompt": True,
                "tokenize": True,
                "return_dict": True,
                "return_tensors": "pt",
            }
        )
        return dict(self.processor.apply_chat_template(turns, **options))

    def _speech(self, samples: Any) -> dict[str, Any]:
        if self.kind == "voxtral":
            return {"type": "audio", "base64": base64.b64encode(encode_wav(samples)).decode("ascii")}
        return {"type": "audio", "audio": samples}

    @staticmethod
    def _parts(prompt: Prompt, speech: dict[str, Any]) -> list[dict[str, Any]]:
        """Text, speech, text; line breaks behind the speech are left to the template, which puts its own there."""
        if prompt.speech is None:
            return [{"type": "text", "text": prompt.before + prompt.after}]
        before, after = (
            {"type": "text", "text": text} for text in (prompt.before, prompt.after.lstrip("\n"))
        )
        return [part for part in (before, speech, after) if part is speech or part["text"].strip()]

    def _read_placeholder(self, prompt: Prompt) -> dict[str, Any]:
        """By a placeholder in the text, as of an Ultravox."""
        speech = PLACEHOLDER if prompt.speech is not None else ""
        turns = [{"role": "user", "content": f"{prompt.before}{speech}{prompt.after}"}]
        text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        heard = {} if prompt.speech is None else {"audio": prompt.speech, "sampling_rate": SAMPLE_RATE}
        return dict(self.processor(text=text, **heard, return_tensors="pt"))

    def _read_tokens(self, prompt: Prompt) -> dict[str, Any]:
        """By the audio token, once for each embedding of a window of 30 s, as a Voxtral counts them."""
        turns = [{"role": "user", "content": self._parts(prompt, {"type": "audio"})}]
        text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        inputs: dict[str, Any] = {}
        if prompt.speech is not None:
            audio = read_object(self.folder / CONFIG)["audio_config"]
            window = int(self.extractor.n_samples)
            if len(prompt.speech) > window:
                raise ValueError(
                    f"{self.folder}: speech of {len(prompt.speech) / SAMPLE_RATE:.1f} s, and without a processor at most "
                    f"{window / SAMPLE_RATE:.0f} s are read; use shorter utterances"
                )
            number = audio["max_source_positions"] * audio["hidden_size"] // audio["intermediate_size"]
            token = self.tokenizer.convert_ids_to_tokens(self.model.config.audio_token_id)
            text = text.replace(token, token * number)
            found = self.extractor(prompt.speech, sampling_rate=SAMPLE_RATE, return_tensors="pt")
            inputs["input_features"] = found.input_features
        return {**self.tokenizer(text, add_special_tokens=False, return_tensors="pt"), **inputs}
