"""Where data sets come from: BEIR, the Hugging Face hub, mteb, ir_datasets, docstrings, images; `loading` picks one."""
