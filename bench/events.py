"""Write a file of synthetic events, all valid, for measuring: half deductions on many matters, half ratings.

Usage: python bench/events.py [FILE] [-n COUNT] [--seed SEED]
"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

UNITS = [f"U{n:03d}" for n in range(1, 106)]
STEPS = [f"{n // 20}.{n % 20 * 5:02d}" for n in range(1, 41)]
EVERY = 500  # one line in so many revokes an earlier one

#: Office, item and ground, with the points or the node that the ground has; {p} is drawn.
DEDUCTIONS = [
    ("ducha", "1.1", '"ground":"no_feedback"', "批示"),
    ("ducha", "1.1", '"ground":"poorly_implemented"', "批示"),
    ("ducha", "1.1", '"ground":"not_rectified"', "批示"),
    ("ducha", "1.1", '"ground":"criticised"', "批示"),
    ("ducha", "1.2", '"ground":"accident","points":"{p}"', "认定"),
    ("renda", "1.3", '"ground":"handling","points":"{p}"', "建议"),
    ("zhengxie", "1.3", '"ground":"handling","points":"{p}"', "提案"),
    ("gongwei", "1.4", '"ground":"late_or_unmet","points":"0.5","node":"plan"', "节点"),
    ("zuzhi", "1.4", '"ground":"late_or_unmet","points":"1","node":"quarter_2"', "节点"),
    ("renshe", "1.4", '"ground":"late_or_unmet","points":"1.5","node":"result"', "节点"),
    ("duchayuan", "2.4", '"ground":"problem_minor"', "查访"),
    ("duchayuan", "2.4", '"ground":"problem_serious"', "查访"),
]
#: Office, item, what else the item has, and the full value in hundredths; a measure that is 0 or 1 has none.
RATINGS = [
    ("gongwei", "1.5", "", 10000),
    ("gongwei", "2.1", "", 500),
    ("gongwei", "2.2", ',"group":"leader"', 10000),
    ("gongwei", "2.2", ',"group":"clients"', 10000),
    ("tongji", "2.3", "", 10000),
    ("wenda", "3.1", "", 1000),
    ("wenda", "3.2", ',"measure":"exchange"', 0),
    ("wenda", "3.2", ',"measure":"internal"', 0),
    ("wenda", "3.2", ',"measure":"usage"', 100),
    ("shenguan", "3.3", ',"measure":"accuracy"', 100),
    ("shenguan", "3.3", ',"measure":"completeness"', 100),
    ("shenguan", "3.3", ',"measure":"timeliness"', 100),
    ("xuanchuan", "4.1", ',"case":"创新实例1"', 2000),
    ("xuanchuan", "4.1", ',"case":"创新实例2"', 2000),
    ("jiwei", "5.1", "", 10000),
    ("kaoji", "Y.1", "", 12000),
]


def values(full: int) -> list[str]:
    """Some values of a rating, between half and all of its full value."""
    if not full:
        return ["0", "1", "1", "1"]
    return [f"{cents // 100}.{cents % 100:02d}" for cents in range(full // 2, full + 1, max(1, full // 400))]


def lines(count: int, seed: int = 2013) -> Iterator[str]:
    """`count` lines of about 290 bytes; the matters grow with the count, so that no matter is hit very often."""
    draw = random.Random(seed).getrandbits
    matters = count // 1000 + 1
    drawn = [values(full) for _, _, _, full in RATINGS]
    times = [
        f"2013-{month:02d}-{day:02d}T{hour:02d}:{day * 7 % 60:02d}:{hour * 13 % 60:02d}+08:00"
        for month in range(4, 13)
        for day in range(1, 28)
        for hour in range(8, 17)
    ]
    earlier = ("", "", 0)
    for n in range(1, count + 1):
        bits = draw(48)
        unit, when = UNITS[bits % 105], times[n * len(times) // (count + 1)]
        bits //= 105
        if n % EVERY == 0:
            office, unit, target = earlier
            kind, reason = "event.revoked.v1", "经核实系登记错误，予以撤销"
            data = f'"target":{{"source":"/offices/{office}","id":"b-{target}"}},"reason":"{reason}"'
        elif n % 2:
            office, item, ground, name = DEDUCTIONS[bits % 12]
            bits //= 12
            kind, ground = "deduction.recorded.v1", ground.replace("{p}", STEPS[bits % 40])
            data = (
                f'"item":"{item}","matter":"{name}-2013-{bits % matters:05d}",{ground},'
                f'"reason":"未按规定的时限和要求办理，经催办后补报","evidence":["督查通报2013年第{bits % 90}期"]'
            )
        else:
            office, item, more, _ = RATINGS[bits % 16]
            some = drawn[bits % 16]
            bits //= 16
            kind, value = "rating.recorded.v1", some[bits % len(some)]
            data = f'"item":"{item}","value":"{value}","rater":"评审组第{bits % matters:05d}号评委"{more}'
        if n % EVERY == 1:
            earlier = office, unit, n
        yield (
            f'{{"specversion":"1.0","id":"b-{n}","source":"/offices/{office}","type":"{kind}","subject":"{unit}",'
            f'"time":"{when}","data":{{{data}}}}}\n'
        )


def main() -> None:
    """Write the file and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("events.jsonl"))
    parser.add_argument("-n", "--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=2013)
    options = parser.parse_args()
    start = time.perf_counter()
    with options.file.open("w", encoding="utf-8", buffering=1 << 20) as file:
        file.writelines(lines(options.count, options.seed))
    size = options.file.stat().st_size
    print(f"{options.count} events, {size / options.count:.0f} bytes each, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
