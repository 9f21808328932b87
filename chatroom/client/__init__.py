"""The chat client: a person's terminal, or a script's pipe, at one end of the wire.

``frames.py`` holds the server to its tables, ``session.py`` is the chat as this side
sees it, ``commands.py`` and ``talk.py`` are what one does, ``render.py`` and
``view.py`` what one sees, ``keys.py`` and ``editor.py`` the line being typed,
``screen.py`` what is drawn of it all.  ``connection.py`` moves frames, ``terminal.py``
and ``plain.py`` are the two faces (``face.py``), ``client.py`` decides what happens,
``app.py`` puts it together.  docs/architecture.md tells of the others, and in which
order to read them.
Must not know: the server's code.
"""
