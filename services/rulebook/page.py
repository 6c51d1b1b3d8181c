"""A rulebook as a page beside the regulation's text, clause by clause: for the terminal, Markdown, HTML or PDF."""

import html
import io
import re
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.rulebook import Rulebook, en, zh
from schemas.words import Language, _
from services.command import typeset
from services.rulebook.sentences import Sentence, sentences


class Row(NamedTuple):
    """A clause, its text, the rules that cite it, and why it has none; without both nobody claims it."""

    clause: str
    text: str
    rules: list[Sentence]
    excuse: str | None
    claimed: bool


TEXT = {
    "clause": _("Clause"),
    "text": _("Text"),
    "rules": _("Rules"),
    "unclaimed": _("no rule claims this clause"),
    "excused": _("no rule: "),
    "loose": _("without a clause"),
}


def word(key: str, lang: Language) -> str:
    """A word of the page in the language."""
    return TEXT[key].say(lang)


def rows(book: Rulebook, text: dict[str, str], lang: Language) -> list[Row]:
    """Every clause of the text in its order with its rules, then rules whose clause the text has not."""
    said = [one for one in sentences(book, lang) if not one.key.startswith("excused ")]
    excused = {one.clause: one.why for one in book.excused}
    cited = {one.clause for one in said if one.clause}
    found = []
    for clause, words in text.items():
        excuse = next((why for name, why in excused.items() if clause.startswith(name)), None)
        under = re.compile(re.escape(clause) + r"([(\d].*)?")
        claimed = any(under.fullmatch(one) for one in cited)
        found.append(Row(clause, words, [one for one in said if one.clause == clause], excuse, claimed))
    loose: dict[str, list[Sentence]] = {}
    for one in said:
        if one.clause not in text:
            loose.setdefault(one.clause or "", []).append(one)
    return found + [Row(clause, "", rules, None, claimed=True) for clause, rules in loose.items()]


def plain(said: list[Sentence]) -> str:
    """Sentences a line each, indented as they stand in the tree."""
    return "".join(f"{'  ' * one.level}{one.text}\n" for one in said)


def made(book: Rulebook, found: list[Row], form: str, lang: Language) -> bytes:
    """The page in a form, as bytes."""
    title = zh(book.name) if lang == "zh" else en(book.name)
    if form == "pdf":
        return _pdf(title, found, lang)
    text = {"table": _table, "md": _markdown, "html": _html}[form](title, found, lang)
    return text.encode()


def _state(row: Row, lang: Language) -> str | None:
    """What stands where a clause has no rule of its own: its excuse, or that nobody claims it."""
    if row.excuse is not None and not row.rules:
        return word("excused", lang) + row.excuse
    return None if row.claimed else word("unclaimed", lang)


def _unclaimed(row: Row) -> bool:
    return row.excuse is None and not row.claimed


def _table(title: str, found: list[Row], lang: Language) -> str:
    table = Table(title=title, box=box.SIMPLE_HEAD, show_lines=True, expand=True)
    for key, ratio in (("clause", 1), ("text", 4), ("rules", 6)):
        table.add_column(word(key, lang), ratio=ratio, overflow="fold")
    for row in found:
        rules = escape(plain(row.rules).rstrip() or _state(row, lang) or "")
        style = "red" if _unclaimed(row) else ""
        table.add_row(escape(row.clause or word("loose", lang)), escape(row.text), rules, style=style)
    out = Console(file=io.StringIO(), width=160, highlight=False, force_terminal=False)
    out.print(table)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def _markdown(title: str, found: list[Row], lang: Language) -> str:
    parts = [f"# {title}\n"]
    for row in found:
        parts.append(f"## {row.clause or word('loose', lang)}\n")
        parts += [f"> {line}" for line in row.text.splitlines()] + [""] * bool(row.text)
        parts += [f"{'  ' * one.level}- {one.text}" for one in row.rules]
        if (state := _state(row, lang)) is not None:
            parts.append(f"**{state}**" if _unclaimed(row) else f"*{state}*")
        parts.append("")
    return "\n".join(parts)


STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;width:100%}"
    "td{vertical-align:top;border-top:1px solid #ccc;padding:.5em}.unclaimed{color:#b00}td:nth-child(2){width:38%}"
)


def _html(title: str, found: list[Row], lang: Language) -> str:
    body = []
    for row in found:
        rules = "".join(f'<div style="margin-left:{one.level}em">{html.escape(one.text)}</div>' for one in row.rules)
        state = _state(row, lang)
        rules += f"<em>{html.escape(state)}</em>" if state else ""
        text = "<br>".join(html.escape(line) for line in row.text.splitlines())
        mark = ' class="unclaimed"' if _unclaimed(row) else ""
        clause = html.escape(row.clause or word("loose", lang))
        body.append(f"<tr{mark}><td>{clause}</td><td>{text}</td><td>{rules}</td></tr>\n")
    heads = "".join(f"<th>{word(key, lang)}</th>" for key in ("clause", "text", "rules"))
    return (
        f'<!doctype html>\n<html lang="{lang}"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>\n<h1>{html.escape(title)}</h1>\n<table><tr>{heads}</tr>\n{''.join(body)}</table></html>\n"
    )


def _pdf(title: str, found: list[Row], lang: Language) -> bytes:
    """The page set by typst, the same bytes each time."""
    cells = [
        [
            row.clause or word("loose", lang),
            row.text,
            plain(row.rules).rstrip() or _state(row, lang) or "",
            _unclaimed(row),
        ]
        for row in found
    ]
    heads = [word(key, lang) for key in ("clause", "text", "rules")]
    data = {"title": title, "heads": heads, "rows": cells, "lang": lang}
    return typeset.pdf(Path(__file__).with_suffix(".typ"), data)
