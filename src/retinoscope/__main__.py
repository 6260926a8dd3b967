"""`python -m retinoscope`: the command, where its script is not on the path."""

from retinoscope.cli.main import app

if __name__ == "__main__":
    app()
