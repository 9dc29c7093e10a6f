"""A model folder as a server that OpenAI's clients talk to: `auralign serve MODEL`.

    from openai import OpenAI

    client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="unused")
    client.chat.completions.create(model="my_model", messages=[{"role": "user", "content": "Hello"}])

`request` reads and checks what a client sends, `gate` lets one request at a time use the model, `answering` asks the model,
`app` joins these to the routes. Needs auralign[serve].
"""
