"""What both faces need."""

import os
import threading

from chatroom.client.face import write_all


def test_all_is_written_to_a_pipe_that_somebody_made_non_blocking() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    got = bytearray()

    def read() -> None:
        while chunk := os.read(reader, 65536):
            got.extend(chunk)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, b"x" * 300_000)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert len(got) == 300_000
