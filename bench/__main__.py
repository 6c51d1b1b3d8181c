"""Run every benchmark: `make bench`, or `python -m bench [score|large|proof|pages|many]`."""

import sys

from bench import large, many, pages, proof, score

BENCHES = {"score": score.main, "large": large.main, "proof": proof.main, "pages": pages.main, "many": many.main}

asked, sys.argv[1:] = sys.argv[1:], []  # what is left are a benchmark's own options, and it has its defaults
for name in asked or BENCHES:
    if name not in BENCHES:
        sys.exit(f"no benchmark {name}; expected {', '.join(BENCHES)}")
    BENCHES[name]()
