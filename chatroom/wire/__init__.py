"""Bytes to messages and back, sans-I/O: every parser takes bytes and returns values.

Must not know: sockets, clocks, logs, what a message leads to.  ``framing.py`` cuts the
stream, ``codec.py`` knows JSON and the tables of the protocol, ``protocol.py`` puts the
two behind the small interface that every dialect has.
"""
