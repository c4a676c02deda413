"""A folder of documents as people have them: several formats, headings, links, questions, and things that go wrong."""

import json
from pathlib import Path

from tiny_data import write_lines

__all__ = ["TOPICS", "section", "write_documents"]

TOPICS = {
    "copper pump": "The copper pump moves warm water from the cellar into the upper tank of the mill",
    "gravel harbour": "Ships with deep keels wait outside the gravel harbour until the evening tide rises",
    "violet orchard": "Farmers prune every tree of the violet orchard before the second week of frost",
    "paper lantern": "A paper lantern burns for nine hours when the wick is trimmed and the oil is fresh",
    "granite bridge": "The granite bridge carries two lanes of traffic and a narrow path for bicycles",
    "winter archive": "Letters in the winter archive are sorted by sender and kept in boxes without acid",
    "silver compass": "Sailors trusted the silver compass although its needle was heavier than others",
    "barley field": "The barley field behind the church is harvested early because the soil dries fast",
}


def section(topic: str) -> str:
    """Return a paragraph of some sentences about a topic."""
    first = TOPICS[topic]
    return (
        f"{first}. Many visitors ask how the {topic} was built and why it still works so well after all this time. "
        f"People of the village look after the {topic} together, and they write down every repair in a small book. "
        f"Whoever wants to see the {topic} should come in the morning and bring strong shoes and a little patience."
    )


def write_documents(folder: Path) -> Path:
    """Write a folder of documents in several formats, and return it."""
    topics = list(TOPICS)
    markdown = ["# Guide of the village", ""]
    for topic in topics[:3]:
        markdown += [f"## How the {topic} works", "", section(topic), ""]
    markdown += ["See [the story of the bridge](pages/bridge.html#story) for more."]
    write_lines(folder / "guide.md", markdown)
    head = "<title>Bridge | Village</title><nav>Home | Contact</nav>"
    body = f"<main><h1 id=story>Bridge</h1><p>{section(topics[4])}</p></main>"
    write_lines(folder / "pages" / "bridge.html", [head, body])
    write_lines(folder / "notes.txt", [section(topics[3])])
    write_lines(folder / "archive.rst", ["Winter archive rules", "====================", "", section(topics[5])])
    answers = [("kb0", "Where can I find the silver compass?", section(topics[6]))]
    rows = [json.dumps({"id": name, "question": question, "answer": answer}) for name, question, answer in answers]
    write_lines(folder / "faq.jsonl", rows)
    write_lines(folder / "tool.py", ['"""Count the grain of the barley field by the sacks in the barn."""', "x = 1"])
    return folder
