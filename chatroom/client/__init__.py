"""The chat client: a person's terminal, or a script's pipe, at one end of the wire.

``frames.py`` holds the server to its tables, ``session.py`` is the chat as this side
sees it, ``commands.py`` and ``render.py`` are what one types and what one sees,
``keys.py`` and ``editor.py`` are the line being typed, ``recall.py`` the lines before
it, ``glyphs.py`` what is safe to show; none of them does I/O.  ``connection.py`` moves
frames, over TLS as ``security.py`` has it, ``terminal.py`` and ``plain.py`` are the two
faces (``face.py``), ``client.py`` decides what happens, ``app.py`` puts it together.
Must not know: the server's code.
"""
