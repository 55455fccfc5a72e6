"""One run and one deployment, as the tests of nas deploy have them."""

from tests.deploy.conftest import made, out

__all__ = ["made", "out"]
