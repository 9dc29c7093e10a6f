"""A web page to talk to a model folder and to see what it hears: `auralign demo MODEL`.

`listener` asks the model, `reading` scores sentences that are read aloud, `examples` picks right and wrong answers of a run,
`page` shows all three. Needs auralign[demo]; nothing is fetched from elsewhere, and nothing leaves the machine.
"""
