"""What holds for every test."""

from hypothesis import settings

# A busy machine makes single examples slow; that is no failure. What fails is
# printed with the line that plays it again.
settings.register_profile("chatroom", deadline=None, print_blob=True)
settings.load_profile("chatroom")
