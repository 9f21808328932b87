"""What the word before the cursor may become.

Pure.  Must not know: terminals, how a candidate is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Completion:
    """The candidates, the likeliest first."""

    start: int
    """Where in the text what they replace begins; it ends at the cursor."""
    options: tuple[str, ...] = ()
