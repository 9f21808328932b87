"""``python -m chatroom``: the server, with the options of ``chat-server``."""

import sys

from chatroom.cli import server

if __name__ == "__main__":
    sys.exit(server())
