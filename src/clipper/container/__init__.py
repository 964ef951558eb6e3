"""Runs a user's model beside Clipper: standard library, numpy and cloudpickle, and of Clipper only ``rpc.wire``.

The whole folder travels to the model's environment as one zip application.
"""
