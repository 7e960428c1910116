"""`python -m worker_image.rehearsal --prompt-file P` (or `-p TEXT`): a developer in a checkout, or a PO."""

import argparse
import sys
from pathlib import Path

from worker_image.rehearsal import agent
from worker_image.rehearsal.owner import turn


def main() -> int:
    """Read the prompt and work in the current directory."""
    parser = argparse.ArgumentParser(prog="rehearsal", description="Deterministic offline coder.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt-file", type=Path)
    source.add_argument("-p", "--prompt")
    parser.add_argument("--product-owner", action="store_true", help="Talk with a person; write no code.")
    arguments = parser.parse_args()
    text = arguments.prompt
    if arguments.prompt_file is not None:
        text = arguments.prompt_file.read_text(encoding="utf-8", errors="replace")
    if arguments.product_owner:
        return turn.run(text, Path.home())
    return agent.run(text, Path.cwd())


if __name__ == "__main__":
    sys.exit(main())
