"""`python -m bench`, or `python -m bench portrait start`: only those. `adoption=10000`: in that size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import (
    adoption,
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
    sharing,
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
    "sharing": sharing.measure,
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
    "adoption": adoption.measure,
}
SIZED = {"adoption"}  # how many characters, where one number is given
RESULT = Path("test-results/bench.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=", ".join(MEASURES))
    asked = parser.parse_args().measures or list(MEASURES)
    sizes = {name: int(size) for name, _, size in (word.partition("=") for word in asked) if size}
    asked = [word.partition("=")[0] for word in asked]
    if unknown := set(asked) - MEASURES.keys():
        parser.error(f"There is no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}.")
    if unsized := sizes.keys() - SIZED:
        parser.error(f"There is one size of {', '.join(sorted(unsized))}; leave the number out.")
    log.configure("ERROR")
    figures = []
    for name in asked:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        figures += MEASURES[name](sizes[name]) if name in sizes else MEASURES[name]()
    show(figures)
    write(figures, RESULT)


if __name__ == "__main__":
    main()
