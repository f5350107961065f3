"""`make screenshots`: every page and state of the studio, in both themes and two sizes, under docs/screenshots."""
