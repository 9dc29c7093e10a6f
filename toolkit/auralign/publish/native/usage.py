"""How an exported model is used: the lines of its model card."""

from pathlib import Path

from auralign.files import read_json
from auralign.publish.native.architectures import Architecture
from auralign.publish.native.processor import PROCESSOR_FILE


def usage_of(architecture: Architecture, folder: Path) -> list[str]:
    """Lines that say what an exported folder holds and how it is used.

    Arguments
    ---------
    architecture : Architecture
    folder : Path
        The folder, with its files except the card.
    """
    if not architecture.class_name:
        return [
            "A projector in the layout of Ultravox: `config.json` names the LLM (`text_model_id`) and the encoder",
            "(`audio_model_id`), which must be hub ids or folders that the server finds. Serving it by vLLM: not run.",
        ]
    lines = [
        f"Encoder, connector and LLM as transformers' `{architecture.class_name}`, which needs no auralign.",
        "`dtype=torch.float32` computes the logits of the run; without it the type is that of the LLM.",
        "",
        "    import torch",
        f"    from transformers import AutoProcessor, {architecture.class_name}",
        f'    model = {architecture.class_name}.from_pretrained("THIS FOLDER", dtype=torch.float32)',
    ]
    if (folder / PROCESSOR_FILE).is_file():
        return [
            *lines,
            '    processor = AutoProcessor.from_pretrained("THIS FOLDER")',
            "    # samples: one channel of float32 between -1 and 1, at 16,000 Hz",
            '    content = [{"type": "audio", "audio": samples}, {"type": "text", "text": "What was said?"}]',
            '    inputs = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True,',
            '                                           tokenize=True, return_dict=True, return_tensors="pt")',
            '    answer = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]',
            "    print(processor.decode(answer, skip_special_tokens=True))",
        ]
    if architecture.mask:
        number = "((int(features.attention_mask.sum()) - 1) // 2 + 1) // 2"
        mask = f", {architecture.mask}=features.attention_mask"
    else:
        audio = read_json(folder / "config.json")["audio_config"]
        number = f"{audio['max_source_positions'] * audio['hidden_size'] // audio['intermediate_size']}"
        mask = ""
    return [
        *(line.replace("AutoProcessor", "AutoFeatureExtractor, AutoTokenizer") for line in lines),
        '    tokenizer, extractor = (kind.from_pretrained("THIS FOLDER") for kind in (AutoTokenizer, AutoFeatureExtractor))',
        '    features = extractor(samples, sampling_rate=16000, return_tensors="pt", return_attention_mask=True)   # up to 30 s',
        f"    number = {number}   # of embeddings",
        '    content = [{"type": "audio"}, {"type": "text", "text": "What was said?"}]',
        '    turns = [{"role": "user", "content": content}]',
        "    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)",
        f"    text = text.replace({architecture.audio_token!r}, {architecture.audio_token!r} * number)",
        '    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]',
        f"    answer = model.generate(input_ids=ids, input_features=features.input_features{mask})[0, ids.shape[1] :]",
        "    print(tokenizer.decode(answer, skip_special_tokens=True))",
    ]
