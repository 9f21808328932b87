"""A server that does one thing wrong to its second member, as its argument says.

It is the bare reference otherwise, and so right in all that is not asked for.
"""

import sys

from tests.bench.references.bare import Client, Server

WRONG = 6
"""The id of the message that something is done to; the first brings all in step."""


class Faulty(Server):
    """The server with the fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.held = b""

    def take(self, client: Client, value: dict[str, str]) -> None:
        """Do what a frame asks for; give no message the number behind."""
        super().take(client, value)
        if self.fault == "gap" and self.last_id == WRONG:
            self.last_id += 1

    def send_news(self) -> None:
        """Send the news of this tick, to the second member what is wrong."""
        news, self.news = self.news, []
        for number, client in enumerate(list(self.members)):
            frames = self.mangled(client, news) if number == 1 else news
            self.send(client, b"".join(frames))

    def mangled(self, client: Client, news: list[bytes]) -> list[bytes]:
        """Return what the second member gets instead."""
        frames = []
        for frame in news:
            if self.held:
                frames += [frame, self.held]
                self.held = b""
            elif b'"id":%d,' % WRONG not in frame:
                frames.append(frame)
            elif self.fault == "reorder":
                self.held = frame
            elif self.fault == "double":
                frames += [frame, frame]
            elif self.fault == "alter":
                text = frame.index(b'"text":"') + 8
                frames.append(frame[:text] + b"Z" + frame[text + 1 :])
            elif self.fault == "cut":
                self.drop(client)
            elif self.fault != "drop":
                frames.append(frame)
        return frames


if __name__ == "__main__":
    Faulty(sys.argv[1]).run()
