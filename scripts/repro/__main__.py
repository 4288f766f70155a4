"""`python -m scripts.repro JOBS`: see reproduction.py. The forks of forks.py never import what stands here."""

import sys

from scripts.repro.reproduction import main

sys.exit(main(int(sys.argv[1])))
