"""The content of a base, which is the downloaded folder of an LLM or a speech encoder, whatever else is in that folder.

>>> import tempfile, pathlib
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> _ = (folder / "config.json").write_text('{"model_type": "llama", "transformers_version": "5.0"}')
>>> before = hash_content(folder)
>>> _ = (folder / "README.md").write_text("A model card.")
>>> _ = (folder / "config.json").write_text('{"transformers_version": "5.1", "model_type": "llama"}')
>>> hash_content(folder) == before
True

The same model that is downloaded again has another README, other time stamps of the hub's client, or other shards. Its tensors,
its configuration and its tokenizer are the same, and they alone are hashed here. Nothing is imported for it, so that a stage
that is complete says so at once. `auralign.models.identity` compares the loaded models.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auralign.files import PathLike, hash_path, hash_value, remembered, without_folders

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # or shards, which an index names
INDEX = ".index.json"
# Other copies of the same model: as other frameworks read them, or as its authors trained it.
COPIES = (".gguf", ".msgpack", ".h5", ".onnx", ".ot", ".tflite", ".mlmodel")
NAMES_OF_COPIES = ("pytorch_model", "consolidated", "training_args", "model-0")
FOLDERS_OF_COPIES = ("onnx", "original", "coreml", "openvino", "runs", "metal")
PROSE = (".md", ".rst", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf")
PROSE_NAMES = ("license", "licence", "notice", "copying", "authors", "readme", "usage_policy", "use_policy")
TOKENIZER = "tokenizer.json"
# What `tokenizer.json` says too: older files of the same vocabulary, merges and added tokens.
OF_TOKENIZER = ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json")
TEMPLATE = "chat_template"
OF_TEMPLATE = (f"{TEMPLATE}.jinja", f"{TEMPLATE}.json")
# Fields that say how a file was written or is loaded, and nothing of what a model computes.
VOLATILE = frozenset(
    (
        "transformers_version", "_name_or_path", "name_or_path", "dtype", "torch_dtype", "architectures", "auto_map",
        "use_cache", "_attn_implementation", "attn_implementation", "_attn_implementation_autoset", "_from_model_config",
        "output_attentions", "output_hidden_states", "return_dict", "transformers.js_config", "tokenizer_class", "tokenizer_file",
        "backend", "is_local", "local_files_only", "processor_class", "tokenizers_version", "_commit_hash",
    )
)  # fmt: skip
# `base_model: org/name`, `base_model: [org/name]`, or a list with `- org/name` on the next line
BASE_MODEL = r"""^base_model:(?: *\n *- *| *\[ *| *)["']?([^\s"'\],]+)"""
CHUNK = 2**24  # bytes of a tensor that are read at once


def is_base(path: PathLike) -> bool:
    """Whether a path is the folder of a model of transformers: its config.json names the kind of the model."""
    return isinstance(_read_object(Path(path) / CONFIG).get("model_type"), str)


def hash_content(path: PathLike) -> str:
    """SHA-256 of what a path holds: of a base its tensors, configuration and tokenizer; else as `auralign.files.hash_path`.

    Raises FileNotFoundError if there is nothing at `path`.
    """
    path = Path(path)
    if not is_base(path):
        return hash_path(path)
    weights = weight_files(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file not in weights)
    has_tokenizer = (path / TOKENIZER).is_file()
    hashes: dict[str, str] = {}
    for file in files:
        name = file.relative_to(path)
        is_told = str(name) in OF_TEMPLATE or (has_tokenizer and str(name) in OF_TOKENIZER)
        if not is_told and not _is_beside(name):
            hashes[str(name)] = _hash_file(file)
    return hash_value({"files": hashes, "tensors": hash_tensors(path), "template": _template(path)})


def hash_tensors(path: PathLike, rename: Callable[[str], str | None] = str) -> str:
    """SHA-256 of the tensors of a folder's weights: of their names, stored dtypes, shapes and bytes, in whatever files.

    Arguments
    ---------
    path : str or Path
        The folder. Weights that are not safetensors are hashed file by file.
    rename : callable, optional
        From a tensor's name to the name by which it counts; None leaves it out. Default: all tensors, by their own names.
    """
    return hash_value(_tensors(Path(path), rename))


def stored_dtypes(path: PathLike) -> list[str]:
    """The dtypes in which a folder's tensors are stored, such as ["BF16"]; "file" if the weights are not safetensors."""
    return sorted({found[0] for found in _tensors(Path(path), str).values()})


def weight_files(path: PathLike) -> list[Path]:
    """The files of a folder's weights, as transformers chooses them; those that are absent are left out."""
    path = Path(path)
    for name in WEIGHTS:
        if (path / name).is_file():
            return [path / name]
        shards = _read_object(path / f"{name}{INDEX}").get("weight_map")
        if isinstance(shards, dict):
            named = sorted({path / str(shard) for shard in shards.values()})
            return [file for file in named if file.is_file()]
    return []


def find_source(path: PathLike) -> dict[str, Any]:
    """What a folder says about the origin of its model, as JSON values.

    Arguments
    ---------
    path : str or Path

    Returns dict with "name"; "hub_id" and "commit" if the client of the hub recorded them; "base_model" and "conversion" (the
    first paragraph) of its README, unless it came from the hub as it is; "sha256" of each file of weights; and "tensors", the
    hash of the tensors, which is equal for other shards.
    """
    path = Path(path).resolve()
    found: dict[str, Any] = {"name": path.name}
    snapshot = re.search(r"models--([^/]+)/snapshots/([0-9a-f]{7,40})$", path.as_posix())
    if snapshot:
        found |= {
            "name": snapshot[1].split("--")[-1],
            "hub_id": snapshot[1].replace("--", "/"),
            "commit": snapshot[2],
        }
    for metadata in sorted(path.glob(".cache/huggingface/download/*.metadata")):
        first = metadata.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        if re.fullmatch(r"[0-9a-f]{40}", first):
            found.setdefault("commit", first)
    card = path / "README.md"
    if card.is_file() and "commit" not in found:
        text = card.read_text(encoding="utf-8", errors="replace")
        front = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
        named = re.search(BASE_MODEL, front[1] if front else "", flags=re.MULTILINE)
        body = text[front.end() :] if front else text
        paragraphs = [
            part for part in body.split("\n\n") if part.strip() and not part.lstrip().startswith("#")
        ]
        found |= {"base_model": named[1]} if named else {}
        found |= {"conversion": without_folders(" ".join(paragraphs[0].split()))[:300]} if paragraphs else {}
    files = {file.name: hash_path(file) for file in weight_files(path)}
    return {**found, "sha256": files, "tensors": hash_tensors(path)}


def tell_source(source: dict[str, Any]) -> str:
    """`find_source` in words, for a model card."""
    commit = source.get("commit")
    told = [source.get("hub_id") or source["name"]]
    told += [f"commit {commit}"] if commit else []
    told += [f"of {source['base_model']}"] if "base_model" in source else []
    told += [f"conversion: {source['conversion'].rstrip('.')}"] if "conversion" in source else []
    told += [f"SHA-256 of {name} {digest}" for name, digest in source["sha256"].items()]
    # A folder that nothing ties to the hub may hold other weights than are published there.
    return "; ".join(told + ["hub weights: not run"] * (not commit))


def plain(value: Any) -> Any:
    """A JSON value in which 100000 and 100000.0 are equal as text, and a tuple is a list."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _tensors(path: Path, rename: Callable[[str], str | None]) -> dict[str, list]:
    """Name -> [stored dtype, shape, SHA-256] of the tensors in a folder's weights."""
    found: dict[str, list] = {}
    for file in weight_files(path):
        for name, tensor in _tensors_of(file).items():
            counted = rename(name)
            if counted is not None:
                found[counted] = tensor
    return found


def _tensors_of(file: Path) -> dict[str, list]:
    if file.suffix != ".safetensors" or _header(file) is None:
        return {file.name: ["file", [file.stat().st_size], hash_path(file)]}
    return json.loads(remembered(file, "tensors", lambda: json.dumps(_hash_tensors_of(file))))


def _hash_tensors_of(file: Path) -> dict[str, list]:
    length, header = _header(file) or (0, {})
    found: dict[str, list] = {}
    with file.open("rb") as opened:
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            opened.seek(8 + length + start)
            digest, left = hashlib.sha256(), end - start
            while left:
                piece = opened.read(min(CHUNK, left))
                if not piece:
                    break  # a file that is cut; the loader names it
                digest.update(piece)
                left -= len(piece)
            found[name] = [entry["dtype"], entry["shape"], digest.hexdigest()]
    return found


def _header(file: Path) -> tuple[int, dict[str, Any]] | None:
    """Length and entries of the header of a safetensors file; None if it has none, which its loader reports."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 0 < length <= file.stat().st_size:
            return None
        try:
            header = json.loads(opened.read(length))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            is_sound = all(
                entry.keys() >= {"dtype", "shape"} and [int(edge) for edge in entry["data_offsets"]][1:]
                for entry in entries.values()
            )
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
    return (length, entries) if is_sound else None


def _is_beside(name: Path) -> bool:
    """Whether a file of a base, named from its folder, is nothing that a model is loaded from."""
    last = name.name.lower()
    return (
        any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        or name.parts[0] in FOLDERS_OF_COPIES
        or last.endswith((*PROSE, *COPIES, INDEX, ".lock", ".incomplete", ".tmp"))
        or last.partition(".")[0] in PROSE_NAMES
        or last.startswith(NAMES_OF_COPIES)  # beside the weights that transformers chooses
    )


def _hash_file(file: Path) -> str:
    """The hash of a file; of a JSON object without its form, and without fields that no model depends on."""
    if file.suffix == ".safetensors":
        return hash_value(_tensors_of(file))
    found = _read_object(file) if file.suffix == ".json" else {}
    if not found:
        return hash_path(file)
    if file.name == TOKENIZER:
        found = {name: value for name, value in found.items() if name not in ("padding", "truncation")}
    return hash_value(plain({name: value for name, value in found.items() if _counts(name)}))


def _counts(field: str) -> bool:
    return field not in VOLATILE and field != TEMPLATE


def _template(path: Path) -> Any:
    """The chat template of a folder, whichever of the three files of transformers holds it."""
    file = path / f"{TEMPLATE}.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    for name in (f"{TEMPLATE}.json", "tokenizer_config.json"):
        found = _read_object(path / name).get(TEMPLATE)
        if found is not None:
            return found
    return None


def _read_object(file: Path) -> dict[str, Any]:
    """The JSON object of a file; empty if there is none, which its loader reports."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
