"""The rules of the room, pure: no socket, clock, file, random number or byte.

Time and tokens come in as arguments; what follows from a decision goes out as an
ordered list of effects (``effects.py``) that somebody else carries out.  Read
``chat.py`` first, then ``moderation.py``.
"""
