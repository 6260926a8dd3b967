"""One module for each tool, with a class `Tool(subject)` that has the functions it offers.

    next_token(changes) -> logits [changes, vocabulary]
    captions(changes, tokens) -> token ids [changes, tokens]
    lens(top) -> token ids [layers + 1, visual, top]
    gradients(token, gap) -> score of each visual token [visual]

What a tool doesn't have it leaves out, and the table says so. `whole` says that a tool is fast
enough to do all conditions; the others do a sample, and their time is scaled.
"""
