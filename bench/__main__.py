"""Run every benchmark: `make bench`, or `python -m bench [score|proof|pages]`."""

import sys

from bench import pages, proof, score

BENCHES = {"score": score.main, "proof": proof.main, "pages": pages.main}

for name in sys.argv[1:] or BENCHES:
    if name not in BENCHES:
        sys.exit(f"no benchmark {name}; expected {', '.join(BENCHES)}")
    BENCHES[name]()
