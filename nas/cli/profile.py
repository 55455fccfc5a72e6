"""placeholder"""


def profile() -> None:
    pass
