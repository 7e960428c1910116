"""``python -m worker_image.cli``."""

from worker_image.cli.main import main

main()
