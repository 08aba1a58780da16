"""Results as text: for people (``table``) and for programs (``json``, ``jsonl``, ``csv``)."""
