"""Let the LLM write what a user might say: short sentences, sampled from its bare user turn.

    python local/sample_texts.py --llm HuggingFaceTB/SmolLM2-135M-Instruct --number 40000 --output samples.txt

The prompt is the beginning of a user turn, bare or with one of the first words in `OPENINGS`: without them few samples are short.
A sample is its first sentence, if that ends in time. What `keep_texts` of local/texts.py keeps of the samples is in
local/llm_texts.txt; this script need not run again.

Writes: <output>, one sentence a line, in the order of sampling
"""

import argparse
import re
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH_SIZE, MAX_NEW_TOKENS, TEMPERATURE = 128, 13, 0.9
OPENINGS = [
    "",
    "",
    *"""
What; What is; What are; What do; What does; What can; What should I; What happens when; Who; Where; Where can I; When;
When do; Why; Why do; Why is; Why are; How; How do; How do I; How can I; How much; How many; How old; How long; Can you;
Can I; Can a; Could you; Do you; Do people; Does a; Is it; Is the; Is there; Are; Should I; Will; Would you; Which; Tell
me; Tell me about; Write; Write a; Describe; Explain; Explain how; Give me; Give me a; Name; List; Help me; Please; I; I
am; I want to; I have; I like; I need; I think; I feel; My; My friend; My dog; We; The; There is; It is; This is; You;
He; She; They; Today; Yesterday; If; Let's; Thank you; Good
""".replace("\n", " ")
    .strip()
    .split("; "),
]
FIRST_SENTENCE = re.compile(r"\s*([A-Z][A-Za-z',\- ]+?[.?!])(?:\s|$)")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--llm", required=True, help="hub id or folder of a chat LLM with the ChatML template"
    )
    parser.add_argument("--number", type=int, default=40_000, help="samples, before any is left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(options.llm)
    model = AutoModelForCausalLM.from_pretrained(options.llm, dtype=torch.bfloat16).eval()
    rng = Random(options.seed)
    ends = [tokenizer.convert_tokens_to_ids("<|im_end|>"), *_ending_ids(tokenizer)]
    with options.output.open("w", encoding="utf-8") as file:
        for start in range(0, options.number, BATCH_SIZE):
            opening = rng.choice(OPENINGS)
            prompt = tokenizer(f"<|im_start|>user\n{opening}", add_special_tokens=False, return_tensors="pt")
            sampled = model.generate(
                **prompt,
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=50,
                max_new_tokens=MAX_NEW_TOKENS,
                num_return_sequences=min(BATCH_SIZE, options.number - start),
                eos_token_id=ends,
                pad_token_id=tokenizer.pad_token_id,
            )
            for ids in sampled[:, prompt["input_ids"].shape[1] :]:
                found = FIRST_SENTENCE.match(opening + tokenizer.decode(ids, skip_special_tokens=True))
                if found:
                    print(found[1], file=file, flush=True)


def _ending_ids(tokenizer):
    """The tokens that end a sentence or a line."""
    return [id for text, id in tokenizer.get_vocab().items() if text.endswith((".", "?", "!", "Ċ"))]


if __name__ == "__main__":
    main()
