"""One file for each pane: what it reads, how it looks, which keys it has. See pane.py for the form of all."""
