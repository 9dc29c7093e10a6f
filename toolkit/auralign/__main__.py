"""`python -m auralign` is the command `auralign`."""

from auralign.cli import main

if __name__ == "__main__":
    main()
