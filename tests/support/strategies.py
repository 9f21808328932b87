"""Hypothesis strategies for what people type and what programs send.

The alphabets lean towards what has gone wrong before: letters that change under a
normal form, several marks in a row, look-alikes, controls, escapes of JSON.
"""

from hypothesis import strategies as st

ODD = (
    "\0\t\n\r\x1f\x7f\x85\u00ad\u034f\u061c\u200b\u200d\u2028\u2029\u202e\u2066\ufeff"
    "\ufffd\ufffe\"\\/'<&éßſKΩµﬁǅİıΣςªⅧⒶ中あ٣²\u0301\u0345\u0316\u0bbe😀\U0010ffff"
)
"""Characters that tests of texts and of their encoding should not miss."""

texts = st.text(st.sampled_from(ODD) | st.characters(codec="utf-8"), max_size=80)
"""Any text that UTF-8 can carry, good or bad."""

spoken = st.text(
    st.sampled_from("abcz ABCZ 19 !?,.éÉßẞ中😀\n\t"), min_size=1, max_size=12
)
"""What people say, now and then in capitals."""

shouts = st.text(st.sampled_from("ABÉΣẞ 1!"), min_size=0, max_size=12).map("{}A".format)
"""Texts that are all capitals."""

names = st.text(
    st.sampled_from(
        "abzABZ019-_.éÉßſKΩµﬁǅİıΣςªﾅ中あ٣\u0301\u0345\u0316\u0327\u0903\u034f\u115f\ufe0f"
    )
    | st.characters(categories=["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"]),
    max_size=36,
)
"""What might be asked for as a nick: often good, often just not."""

rooms = st.text(st.sampled_from("abz019-_"), min_size=1, max_size=32).filter(
    lambda name: name[0] not in "-_"
)
"""Good names of rooms."""

refs = st.none() | st.text(
    st.sampled_from(ODD) | st.characters(codec="utf-8"), min_size=1, max_size=64
)
"""Refs as a client may choose them."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=12,
)
"""Whatever JSON can say."""
