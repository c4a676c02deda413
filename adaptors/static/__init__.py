"""Static cuts: one vector per token and no block, fitted in closed form to a full model's vectors.

`fit.fit_static_texts` takes an opened model, texts and a store; `reading.static_candidate` makes the result a row of a
table, `save.save_static` a folder.
"""
