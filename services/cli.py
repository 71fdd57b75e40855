"""The `rostrum` command of this application: prepares its process, then imports what it is made of and runs it."""

from __future__ import annotations

from mesh.cli import process


def main() -> None:
    """Runs the command line of this process and exits."""
    process.prepare()
    # After that: what is imported takes a second, and PYTHONPATH may name other packages of the same names.
    from mesh.cli import program  # noqa: PLC0415
    from services.application import APPLICATION  # noqa: PLC0415

    program.main(APPLICATION, "services.cli")


if __name__ == "__main__":
    main()
