"""Coverage-guided fuzzing of the byte paths: what clients, upstream and people hand to sidekey.

``targets.py`` lists the targets: each is a function of bytes that raises where something is not as it must
be. ``python -m fuzz --help`` runs them under atheris, ``tests/fuzz`` over the corpus without it.
"""
