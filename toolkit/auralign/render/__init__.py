"""Views to token ids, with the LLM's own chat template: the only package that knows prompts.

>>> from auralign.layout import Speech, Target, Text, View
>>> from auralign.testing.tiny.llm import make_tokenizer
>>> renderer = Renderer(make_tokenizer())
>>> rendered = renderer.render(View((Text("repeat: "), Speech("five"), Target("five"))))
>>> [piece.tag for piece in rendered.pieces]
['frame', 'instruction', 'speech', 'frame', 'target']
>>> renderer.tokenizer.decode(rendered.pieces[-1].ids)
'five<|im_end|>'
"""

from auralign.render.answers import ENDLESS, Reading
from auralign.render.changes import describe_change, describe_conversation_change
from auralign.render.chat_template import ChatFrame
from auralign.render.pieces import Piece, Rendered
from auralign.render.renderer import Renderer

__all__ = [
    "ENDLESS",
    "ChatFrame",
    "Piece",
    "Reading",
    "Rendered",
    "Renderer",
    "describe_change",
    "describe_conversation_change",
]
