"""Run the command `fourfold` as `python -m fourfold`."""

from fourfold.cli import main

if __name__ == "__main__":
    main()
