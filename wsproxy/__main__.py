"""``python -m wsproxy`` is ``wsproxy``."""

from wsproxy.cli.main import main

if __name__ == "__main__":
    main(prog_name="wsproxy")
