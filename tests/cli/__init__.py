"""The command line: days, output and killed runs in this process; `warm`, operation and the UI on real servers."""
