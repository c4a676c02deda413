"""Where data sets come from: BEIR folders and names, docstrings, images with captions; `loading` picks one."""
