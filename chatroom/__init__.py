"""A chat room that anyone starts with one command and nothing knocks over.

The package is layered; each layer's own docstring says what it must not know:
``core`` (the rules), ``wire`` (bytes to messages and back), ``net`` (moves bytes),
``store`` (the log), ``server`` and ``client`` (put it together).
"""

__version__ = "0.1.0"
