"""The log: gives messages their numbers and keeps them.

Every store has the same small interface (``memory.py`` is the one to read) and passes
the same tests.  Must not know: connections, frames on their way, who is in a room.
"""
