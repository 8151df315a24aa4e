"""`python -m harness`, also from the source tree."""

from .cli import main

if __name__ == "__main__":
    main()
