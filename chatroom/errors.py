"""The errors that cross a layer, each with what its reader needs to act on it.

Must not know: any other module of the project; every layer may import this one.

    ChatroomError
    +-- UsageError      the command line or a settings file is wrong      exit 2
    +-- StartError      it cannot start: port taken, file unreadable ...  exit 1
    +-- StoreError      what was to be kept could not be kept             `internal`
    +-- ConnectError    no connection to that server                      exit 1
    +-- BadPeer         the other side broke the protocol                 exit 1
"""


class ChatroomError(Exception):
    """One line for a person, saying what is wrong and what to do."""


class UsageError(ChatroomError):
    """The command line or a settings file asks for something that does not exist."""


class StartError(ChatroomError):
    """The program cannot start on this machine as it is asked to."""


class StoreError(ChatroomError):
    """The store could not keep what it was given; nothing of it is kept."""


class ConnectError(ChatroomError):
    """No connection to the server could be made."""


class BadPeer(ChatroomError):
    """What the other side sent is not the protocol; the connection is over."""
