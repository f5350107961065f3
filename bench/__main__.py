"""`python -m bench`, or `python -m bench portrait start`: only those."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import (
    attributes,
    cards,
    change,
    dashboard,
    gallery,
    library,
    portrait,
    proof,
    recovery,
    scrape,
    selector,
    start,
    stock,
    uploads,
    webhook,
    workers,
)
from bench.figures import show, write
from core import log

MEASURES = {
    "portrait": portrait.measure,
    "workers": workers.measure,
    "start": start.measure,
    "cards": cards.measure,
    "change": change.measure,
    "selector": selector.measure,
    "gallery": gallery.measure,
    "scrape": scrape.measure,
    "proof": proof.measure,
    "webhook": webhook.measure,
    "recovery": recovery.measure,
    "uploads": uploads.measure,
    "attributes": attributes.measure,
    "library": library.measure,
    "stock": stock.measure,
    "dashboard": dashboard.measure,
}
RESULT = Path("test-results/bench.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=", ".join(MEASURES))
    asked = parser.parse_args().measures or list(MEASURES)
    if unknown := set(asked) - MEASURES.keys():
        parser.error(f"There is no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}.")
    log.configure("ERROR")
    figures = []
    for name in asked:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        figures += MEASURES[name]()
    show(figures)
    write(figures, RESULT)


if __name__ == "__main__":
    main()
