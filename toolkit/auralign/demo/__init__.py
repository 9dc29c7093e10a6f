"""A web page to talk to a model folder and to see what it hears: `auralign demo MODEL`.

`listener` asks the model, `reading` scores sentences that are read aloud, `page` shows both, and right and wrong answers
(`auralign.publish.examples`). Needs auralign[demo]; nothing is fetched from elsewhere, and nothing leaves the machine.
"""
