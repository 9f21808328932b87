"""Moves bytes: the selectors loop, transports, listeners.  Knows no chat.

``loop.py`` waits and calls, ``transport.py`` is one connection, ``listener.py`` makes
connections, ``buffers.py`` counts what is not sent yet, ``address.py`` names the other
end.  All times are seconds of a monotonic clock.
"""
