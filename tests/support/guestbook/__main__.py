"""`python -m tests.support.guestbook`: the service."""

from mesh.runtime import run
from tests.support.guestbook.wiring import build

if __name__ == "__main__":
    run(build)
