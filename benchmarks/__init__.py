"""Measurements of servers and their parts. Runs compare in rounds (A B A B): absolute figures move with the machine.

``run`` (the peers), ``overload`` (open loop, up to five times the capacity) and ``figures`` (those of the paper) are
``make bench``, and ``stores``, what SQLite and Redis take a second. ``large`` measures long bodies, ``memory`` what a
frontend holds, ``hotpath`` its code alone, ``simulate`` the executor on a virtual clock, ``containers`` those in
Python, Java and R. ``floor``, ``relay`` and ``prototype`` are servers to compare with.
"""
