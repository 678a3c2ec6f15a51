"""``python -m worker`` is ``sms-worker``."""

from worker.cli.main import main

main()
