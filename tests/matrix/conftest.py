"""The checks that the launchers share show what differs, as those of a test's own file do."""

import pytest

pytest.register_assert_rewrite("matrix")
