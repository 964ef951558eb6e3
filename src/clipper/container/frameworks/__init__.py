"""How models of each framework are loaded: ``load(directory, function)`` of the module that a model's note names.

``function`` is the user's, unpickled from ``func.pkl``, or None if the model answers by itself. These modules travel
to the model's environment: they import the framework and numpy, and nothing else but each other.
"""
