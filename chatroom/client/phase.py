"""How far a client is: from its first connection to its end.

    ENTERING -> (ASKING -> ENTERING)* -> JOINED -> (RETURNING -> JOINED)* -> LEAVING
        -> OVER

and OVER may come at any time.
"""

from enum import Enum, auto


class Phase(Enum):
    """How far the client is."""

    ENTERING = auto()
    """On its way in: connecting, or hello is sent."""
    ASKING = auto()
    """One is not let in as one is; the user is asked for something else."""
    JOINED = auto()
    RETURNING = auto()
    """The connection was lost, and not all is as it was yet."""
    LEAVING = auto()
    """Leave is sent; the goodbye is waited for."""
    OVER = auto()
