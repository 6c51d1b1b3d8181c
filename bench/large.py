"""`wuxing score` of a made-up country as a whole process: 300,000 units, 3 million ratings, a tree of 20 items.

Usage: python -m bench large; the rulebook has every kind of method, a scheme of three grades and four parts.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.score import timed

UNITS, RATINGS, ITEMS = 300_000, 3_000_000, 20
#: Computed alone, and with all items and dispositions as JSON, 0.8 GB of it.
FORMS = ("table", "json")
HEAD = """language = "2"
id = "country"
name = { zh = "全国考核（合成）", en = "A country (synthetic)" }
document = "合成"
final = { points = "100" }
category = [{ code = "A", name = "甲类" }, { code = "B", name = "乙类" }]
office = [{ code = "bureau", name = "考核局" }]
roles = { collector = "bureau" }

[[scheme]]
code = "prize"
name = "评优"
grade = [
  { code = "first", name = "一等", share = "10%" }, { code = "second", name = "二等", share = "20%" },
  { code = "third", name = "三等", share = "30%", at_least = "60" },
]
"""
METHODS = (
    'kind = "direct"',
    'kind = "scale"',
    'kind = "table", between = "straight", rows = [["0", "0"], ["2", "3"], ["5", "5"]]',
    'kind = "rank", step = "0.1%", pool = "group"',
    'kind = "bands", pool = "category", rows = [["20%", "5", "x"], ["50%", "3", "y"], ["30%", "1", "z"]]',
    'kind = "best", pool = "group"',
    'kind = "level", of = "5"',
)  # fmt: skip


def rulebook() -> str:
    """Four parts of five items, each item of 5 points, of the kinds by turns."""
    parts = [f'[[part]]\ncode = "P{n}"\nname = "第{n}部分"\npoints = "25"\n' for n in range(4)]
    items = [
        f'[[item]]\ncode = "I{n}"\nname = "第{n}项"\npoints = "5"\nin = "P{n % 4}"\noffices = ["bureau"]\n'
        'input = "ratings"\n'
        f'range = {{ min = "0", max = "5" }}\nmethod = [{{ code = "m", {METHODS[n % len(METHODS)]} }}]\n'
        for n in range(ITEMS)
    ]
    return "\n".join([HEAD, *parts, *items])


def roster() -> Iterator[str]:
    """The units, in two categories and a hundred groups."""
    yield "unit,name,category,group\n"
    for n in range(UNITS):
        yield f"U{n:06d},单位{n}(合成),{'AB'[n % 2]},G{n % 100:02d}\n"


def ratings() -> Iterator[str]:
    """As many ratings of every unit, of every second item."""
    draw = random.Random(2013).randrange
    for n in range(RATINGS):
        turn, unit = divmod(n, UNITS)
        item = (2 * turn + unit % 2) % ITEMS
        yield (
            f'{{"specversion":"1.0","id":"r-{n}","source":"/offices/bureau","type":"rating.recorded.v1",'
            f'"subject":"U{unit:06d}","time":"2013-12-01T09:00:00+08:00","data":{{"item":"I{item}",'
            f'"value":"{draw(500) / 100:.2f}","rater":"评审组"}}}}\n'
        )


def main() -> None:
    """Print seconds, processor seconds and memory of one run of each form."""
    with tempfile.TemporaryDirectory(prefix="wuxing-bench-") as name:
        folder = Path(name)
        (folder / "rulebook.toml").write_text(rulebook(), encoding="utf-8")
        for file, lines in (("roster.csv", roster()), ("events.jsonl", ratings())):
            with (folder / file).open("w", encoding="utf-8") as out:
                out.writelines(lines)
        wuxing = str(Path(sys.executable).with_name("wuxing"))
        given = ["--rulebook", str(folder / "rulebook.toml"), "--roster", str(folder / "roster.csv")]
        runs = {
            form: timed([wuxing, "score", str(folder / "events.jsonl"), *given, "--format", form]) for form in FORMS
        }
    print(f"score, {UNITS:,} units, {RATINGS:,} ratings, {ITEMS} items, once:")
    for form, (wall, cpu, memory) in runs.items():
        print(f"  wuxing score --format {form:<6}  {wall:6.1f} s wall  {cpu:6.1f} s processor  {memory:,.0f} MiB")
