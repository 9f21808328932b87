"""Lets the shared cases tell what they compared when they fail."""

import pytest

pytest.register_assert_rewrite("tests.wire.conformance")
