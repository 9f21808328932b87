"""The load test: many clients in one process, which check all that they are sent.

``check.py`` knows what a room's stream has to be, and is pure, as ``report.py`` is,
which turns numbers into text.  ``swarm.py`` holds the connections, ``process.py`` the
server's process.  ``talk.py`` says things, ``run.py`` measures, ``scenarios.py`` is
what the clients do, ``options.py`` and ``app.py`` are the command.
Must not know: the server's code.
"""
