"""`python -m fourfold` is the command `fourfold`."""

from fourfold.cli import main

if __name__ == "__main__":
    main()
